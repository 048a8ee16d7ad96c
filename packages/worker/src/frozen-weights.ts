import { basename, dirname, join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { readFrozen } from '@lockstep/shared/initialization/base-weights.js'
import type { Network } from '@lockstep/shared/models/network.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/**
 * The values of a frozen base, which do not travel: from the recipe's path, or from a file of that name in or beside this worker's own
 * data. The first that has the recipe's digest is taken.
 * @param directory the worker's own --data
 * @returns the flat vector of what is not trained, or undefined when everything is
 * @throws TrainError WORKER_REFUSED_DATA when no file has it
 */
export async function findFrozen(
  model: Recipe['model'],
  network: Network,
  directory: string | undefined,
): Promise<SharedArrayBuffer | undefined> {
  const { weights, trainable } = model
  if (weights === undefined || trainable !== false) return undefined
  const name = basename(weights)
  const own = directory === undefined ? [] : [join(directory, name), join(dirname(directory), name)]
  const reasons: string[] = []
  for (const path of [...own, weights]) {
    try {
      return (await readFrozen(model, network, path)).values.buffer
    } catch (error) {
      if (!(error instanceof TrainError)) throw error
      reasons.push(error.message)
    }
  }
  throw new TrainError(
    'WORKER_REFUSED_DATA',
    `this worker does not have the weights of the frozen base (${reasons.at(-1) ?? ''}): copy the coordinator's ${weights} to the same path here, or beside this worker's --data`,
  )
}
