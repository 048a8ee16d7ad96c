import type { Averager } from '@lockstep/averager/averager.js'
import type { Checkpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { initialWeights } from '@lockstep/shared/initialization/initial-weights.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { isStatistic, type ParameterEntry, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { InitializedLayer, TrainEvent } from './train-event.js'

/** Fills the averager with the state that a run begins with. */

type Emit = (event: TrainEvent) => void

/**
 * Version 0: random weights, and from a checkpoint all of the same network, or the layers that the VGG paper copies (section 3.1.1).
 * @returns the table of what came from where, or null when everything is random
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH
 */
export async function writeFreshState(
  averager: Averager,
  recipe: Recipe,
  network: Network,
  layout: ParameterLayout,
  emit: Emit,
): Promise<readonly InitializedLayer[] | null> {
  const plan = await initialWeights(recipe, network, layout, async (entry, values) => {
    emit({ type: 'preparing', what: 'initial weights', done: entry.offset, total: layout.size })
    averager.write('weights', entry.offset, values)
    // let the event loop breathe between tensors of hundreds of megabytes
    await new Promise(setImmediate)
  })
  return plan?.rows ?? null
}

/**
 * The state of a checkpoint: parameters, their velocity, batch statistics.
 * @throws TrainError CHECKPOINT_MISMATCH when its tensors are not those of the network
 */
export async function writeCheckpointState(averager: Averager, checkpoint: Checkpoint, layout: ParameterLayout, emit: Emit): Promise<void> {
  for (const entry of layout.entries) {
    emit({ type: 'preparing', what: 'checkpoint', done: entry.offset, total: layout.size })
    averager.write('weights', entry.offset, await readWhole(checkpoint, entry, entry.name))
    if (isStatistic(entry.kind)) continue
    averager.write('velocity', entry.offset, await readWhole(checkpoint, entry, `velocity/${entry.name}`))
  }
}

async function readWhole(checkpoint: Checkpoint, entry: ParameterEntry, name: string): Promise<Float32Array> {
  const tensor = checkpoint.tensors.get(name)
  if (tensor?.shape.join() !== entry.shape.join()) {
    const found = tensor === undefined ? 'is missing' : `is ${tensor.shape.join('×')}`
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${checkpoint.path}: tensor ${name} ${found}, the recipe's network needs ${entry.shape.join('×')}: resume with the recipe of that run`,
    )
  }
  return await checkpoint.read(name)
}
