import type { Averager } from '@lockstep/averager/averager.js'
import { METADATA_KEY } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { Checkpoint, openCheckpoint, openTensorFile, type TensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { planDepthTransfer, type TransferSource } from '@lockstep/shared/initialization/depth-transfer.js'
import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
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
  const { initialization, seed } = recipe
  const source = initialization.from === undefined ? null : await openTransferSource(initialization.from)
  try {
    const plan = source === null ? null : planDepthTransfer(network, transferSource(source), { newHead: initialization.newHead })
    const copied = new Set(plan?.copied)
    for (const [index, entry] of layout.entries.entries()) {
      emit({ type: 'preparing', what: 'initial weights', done: entry.offset, total: layout.size })
      if (source !== null && copied.has(entry.name)) {
        averager.write('weights', entry.offset, await source.read(entry.name))
      } else {
        const values = new Float32Array(entry.size)
        initializeParameter(network, layout, index, initialization, seed, values)
        averager.write('weights', entry.offset, values)
      }
      // let the event loop breathe between tensors of hundreds of megabytes
      await new Promise(setImmediate)
    }
    return plan?.rows ?? null
  } finally {
    await source?.close()
  }
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

/**
 * Any safetensors file with our tensor names; one of our own says more of itself.
 * @throws TrainError CHECKPOINT_INVALID
 */
export async function openTransferSource(path: string): Promise<TensorFile> {
  const file = await openTensorFile(path)
  if (!(METADATA_KEY in file.strings)) return file
  await file.close()
  return await openCheckpoint(path)
}

/** What the plan of a transfer needs to know of a file. */
export function transferSource(file: TensorFile): TransferSource {
  const network = file instanceof Checkpoint ? file.metadata.network : undefined
  return {
    tensors: [...file.tensors].map(([name, { shape }]) => ({ name, shape })),
    model: network?.name,
    classes: network?.classes,
    file: file.path,
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
