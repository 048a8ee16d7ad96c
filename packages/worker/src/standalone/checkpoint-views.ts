import type { Preprocessing } from '@lockstep/data/preprocessing.js'
import type { CheckpointMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { denseNetwork } from '@lockstep/shared/models/dense-network.js'
import { isDense, type EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import type { ViewsRequest } from './messages.js'

/**
 * How a checkpoint is to look at pictures: as asked, and where nothing was asked as in the run that made it.
 * @throws TrainError USAGE when a scale is below the network's input; RECIPE_INVALID when the network cannot be evaluated densely
 */
export function checkpointViews(
  { recipe, network }: Pick<CheckpointMetadata, 'recipe' | 'network'>,
  preprocessing: Pick<Preprocessing, 'inputSize' | 'scale'>,
  request: ViewsRequest = {},
): EvaluationViews {
  const { evaluation } = recipe
  const protocol = request.protocol ?? evaluation.protocol
  const scales = request.scales ?? evaluation.scales ?? [preprocessing.scale]
  const tooSmall = scales.find((scale) => scale < preprocessing.inputSize)
  if (tooSmall !== undefined) {
    throw new TrainError(
      'USAGE',
      `a test scale of ${String(tooSmall)} pixels is smaller than the network's input of ${String(preprocessing.inputSize)}; give at least that`,
    )
  }
  if (isDense(protocol)) denseNetwork(network)
  return { protocol, scales, flip: request.flip ?? evaluation.flip }
}

/**
 * Networks whose answers are averaged must mean the same by them.
 * @throws TrainError CHECKPOINT_MISMATCH naming both checkpoints and a class that differs
 */
export function requireEqualClasses(checkpoints: readonly { readonly path: string; readonly classes: readonly string[] }[]): void {
  const [first, ...others] = checkpoints
  for (const other of others) {
    if (first === undefined || first.classes.join('\0') === other.classes.join('\0')) continue
    const [here, there] = [difference(first.classes, other.classes), difference(other.classes, first.classes)]
    const how =
      here === undefined && there === undefined ? 'their order' : [said(here, 'first'), said(there, 'second')].filter(Boolean).join(', ')
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${first.path} and ${other.path} were trained on other classes (${how}): only networks of the same classes can be averaged`,
    )
  }
}

function difference(classes: readonly string[], others: readonly string[]): string | undefined {
  return classes.find((name) => !others.includes(name))
}

function said(name: string | undefined, which: string): string {
  return name === undefined ? '' : `only the ${which} knows ${name}`
}
