import { createHash } from 'node:crypto'
import { openTensorFile, type Checkpoint, type TensorFile } from '../checkpoint/checkpoint.js'
import { TrainError } from '../errors/train-error.js'
import { baseLayers } from '../models/head.js'
import { layoutOf } from '../models/layout-of.js'
import type { Network } from '../models/network.js'
import { frozenPart, type ParameterEntry, type ParameterLayout } from '../parameters/layout.js'
import { normalizeOf } from '../recipe/resolved-recipe.js'
import type { Recipe } from '../recipe/schema.js'
import type { TransferPlan, TransferSource } from './depth-transfer.js'

/** The values of a network that are not trained. */
export interface FrozenWeights {
  /** Their places in `values`. */
  readonly layout: ParameterLayout
  /** The flat vector, in memory that threads share. */
  readonly values: Float32Array<SharedArrayBuffer>
  /** SHA-256 over the values as little-endian float32, hex. */
  readonly digest: string
}

/**
 * Which tensors of a checkpoint start everything before the head: all of them, by name and shape.
 * @throws TrainError CHECKPOINT_MISMATCH naming the tensor and both shapes, or the network that the file holds
 */
export function planBase(model: Recipe['model'], network: Network, source: TransferSource): TransferPlan {
  const file = source.file ?? 'the checkpoint'
  if (source.model !== undefined && source.model !== network.name) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `model.weights: ${file} holds ${source.model}, the recipe's base is ${network.name}; set model.name to ${source.model}, or use another checkpoint.`,
    )
  }
  const tensors = new Map(source.tensors.map(({ name, shape }) => [name, shape]))
  const base = new Set(baseLayers(model, network.classes, network.layers).map(({ name }) => name))
  const wanted = layoutOf(network).entries.filter(({ name }) => base.has(layerOf(name)))
  for (const entry of wanted) requireShape(entry, tensors.get(entry.name), file)
  const known = new Set(wanted.map(({ name }) => name))
  // Fully connected layers and gates are matrices: a kernel of four dimensions is a convolution, and belongs to a base.
  const surplus = source.tensors.find(
    ({ name, shape }) => /^(?!velocity\/).*\/kernel$/.test(name) && shape.length === 4 && !known.has(name),
  )
  if (surplus !== undefined) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `model.weights: ${file} has a convolution ${surplus.name} that ${network.name} has not; use the checkpoint of a ${network.name}.`,
    )
  }
  const rows = layoutOf(network)
    .entries.filter(({ kind }) => kind === 'kernel')
    .map(({ name, shape }) => ({ layer: layerOf(name), shape, source: known.has(name) ? ('checkpoint' as const) : ('random' as const) }))
  return { copied: wanted.map(({ name }) => name), rows }
}

/**
 * A base has learned from pictures as its own run prepared them.
 * @throws TrainError CHECKPOINT_MISMATCH when the recipe prepares them in another way
 */
export function requireNormalize(recipe: Pick<Recipe, 'data' | 'initialization'>, { metadata, path }: Checkpoint): void {
  const theirs = metadata.preprocessing.normalize
  const ours = normalizeOf(recipe)
  if (typeof theirs !== 'string' || theirs === ours) return
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `model.weights: ${path} has learned from pictures with normalize ${theirs}, the recipe has ${ours}; set data.normalize: ${theirs}.`,
  )
}

/**
 * Reads what is not trained of a network.
 * @param path of the checkpoint that has it
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH; the latter also when the recipe states another digest
 */
export async function readFrozen(model: Recipe['model'], network: Network, path: string): Promise<FrozenWeights> {
  const source = await openTensorFile(path)
  try {
    return await frozenOf(model, network, source)
  } finally {
    await source.close()
  }
}

async function frozenOf(model: Recipe['model'], network: Network, source: TensorFile): Promise<FrozenWeights> {
  const layout = frozenPart(layoutOf(network))
  const values = new Float32Array(new SharedArrayBuffer(layout.size * Float32Array.BYTES_PER_ELEMENT))
  for (const { name, offset, size, shape } of layout.entries) {
    requireShape({ name, shape }, source.tensors.get(name)?.shape, source.path)
    values.subarray(offset, offset + size).set(await source.read(name))
  }
  const digest = createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')
  const { weightsDigest } = model
  if (weightsDigest !== undefined && weightsDigest !== digest) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `model.weights: ${source.path} has other values before the head than the recipe says (digest ${digest.slice(0, 12)}, wanted ${weightsDigest.slice(0, 12)}); put the file back that the run began with.`,
    )
  }
  return { layout, values, digest }
}

function layerOf(tensor: string): string {
  return tensor.slice(0, tensor.lastIndexOf('/'))
}

function requireShape(entry: Pick<ParameterEntry, 'name' | 'shape'>, found: readonly number[] | undefined, file: string): void {
  if (found?.join() === entry.shape.join()) return
  const wanted = entry.shape.join(' × ')
  const difference =
    found === undefined
      ? `has no tensor ${entry.name}, the base wants ${wanted}`
      : `has ${entry.name} as ${found.join(' × ')}, the base wants ${wanted}`
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `model.weights: ${file} ${difference}; use the same network, width, channels and options as the checkpoint.`,
  )
}
