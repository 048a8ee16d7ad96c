import { METADATA_KEY } from '../checkpoint/checkpoint-writer.js'
import { Checkpoint, openCheckpoint, openTensorFile, type TensorFile } from '../checkpoint/checkpoint.js'
import { TrainError } from '../errors/train-error.js'
import type { Network } from '../models/network.js'
import type { ParameterEntry, ParameterLayout } from '../parameters/layout.js'
import type { Recipe } from '../recipe/schema.js'
import { planBase, requireNormalize } from './base-weights.js'
import { planDepthTransfer, type TransferPlan, type TransferSource } from './depth-transfer.js'
import { initializeParameter } from './parameters.js'

/**
 * Version 0 of a recipe's weights, tensor after tensor: random, and from a checkpoint the layers that the VGG paper copies
 * (section 3.1.1), or everything before the head (`model.weights`).
 * @param write told of every tensor of the layout, in its order; it may keep the values
 * @returns what was copied and what is random, or null when everything is random
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH; what `write` throws
 */
export async function initialWeights(
  recipe: Pick<Recipe, 'initialization' | 'seed' | 'model' | 'data'>,
  network: Network,
  layout: ParameterLayout,
  write: (entry: ParameterEntry, values: Float32Array) => void | Promise<void>,
): Promise<TransferPlan | null> {
  const { initialization, seed } = recipe
  const path = sourceOf(recipe)
  const source = path === undefined ? null : await openTransferSource(path)
  try {
    const plan = source === null ? null : transferPlan(recipe, network, source)
    const copied = new Set(plan?.copied)
    for (const [index, entry] of layout.entries.entries()) {
      if (source !== null && copied.has(entry.name)) {
        await write(entry, await source.read(entry.name))
      } else {
        const values = new Float32Array(entry.size)
        initializeParameter(network, layout, index, initialization, seed, values)
        await write(entry, values)
      }
    }
    return plan
  } finally {
    await source?.close()
  }
}

/** The checkpoint that first weights come from. */
function sourceOf({ model, initialization }: Pick<Recipe, 'initialization' | 'model'>): string | undefined {
  return model.weights ?? initialization.from
}

/** A checkpoint that does not fit the network is found before anything is made. @throws TrainError CHECKPOINT_… */
export async function checkTransfer(recipe: Recipe, network: Network): Promise<void> {
  const path = sourceOf(recipe)
  if (path === undefined) return
  const source = await openTransferSource(path)
  try {
    transferPlan(recipe, network, source)
  } finally {
    await source.close()
  }
}

function transferPlan(recipe: Pick<Recipe, 'initialization' | 'model' | 'data'>, network: Network, source: TensorFile): TransferPlan {
  if (source instanceof Checkpoint) requireEpsilon(network, source)
  if (recipe.model.weights === undefined)
    return planDepthTransfer(network, transferSource(source), { newHead: recipe.initialization.newHead })
  if (source instanceof Checkpoint) requireNormalize(recipe, source)
  return planBase(recipe.model, network, transferSource(source))
}

/**
 * Weights that were trained with one epsilon compute something else with another.
 * @throws TrainError CHECKPOINT_MISMATCH naming both
 */
function requireEpsilon(network: Network, { path, metadata }: Checkpoint): void {
  const [theirs, ours] = [epsilonOf(metadata.network), epsilonOf(network)]
  if (theirs === undefined || ours === undefined || theirs === ours) return
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `${path}: its batch normalization adds ${String(theirs)} to a variance, the recipe's adds ${String(ours)}; set model.normalizationEpsilon to ${String(theirs)}.`,
  )
}

function epsilonOf({ layers }: Network): number | undefined {
  return layers.find((layer) => layer.type === 'batchNormalization')?.epsilon
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
