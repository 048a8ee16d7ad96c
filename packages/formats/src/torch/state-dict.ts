import { invariant, TrainError } from '@lockstep/shared/errors/train-error.js'
import type { TensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { shapesOf } from '@lockstep/shared/models/shapes.js'
import { HWIO_FROM_OIHW, OIHW_FROM_HWIO, permuteAxes } from '../axes.js'
import type { ForeignModel, ForeignTensor, TensorRole } from '../foreign-model.js'
import type { NamedTensor } from '../named-tensor.js'
import type { WrittenTensor } from '../safetensors-file.js'
import { torchLayerNames } from './layer-names.js'
import { ourResidualName } from './residual-names.js'

/**
 * State dicts with torchvision's names. VGG and AlexNet: `features.N` counts convolutions (OIHW), normalizations, ReLUs and
 * poolings, `classifier.N` dense layers (out × in), ReLUs and dropouts. torchvision flattens channels, height, width, and we
 * height, width, channels: the first dense layer is transposed like the convolution that it could be. ResNet: `layer1.0.conv1`,
 * and one dense layer behind an average, `fc`.
 */

const TENSOR = /^(.+)\.(weight|bias|running_mean|running_var|num_batches_tracked)$/
const COUNTED = /^(features|classifier)\.(\d+)$/

export function isStateDict(names: Iterable<string>): boolean {
  return [...names].some((name) => /^(features\.\d+|layer[1-4]\.\d+\.conv\d)\.weight$/.test(name))
}

interface Parsed {
  readonly name: string
  /** The name without what it is to its layer. */
  readonly prefix: string
  /** Ours where the name tells it, else the file's: then the order tells. */
  readonly layer: string
  /** Layers are in this order: features before the classifier, each by number. */
  readonly order: number
  readonly what: string
}

/** @throws TrainError CHECKPOINT_MISMATCH for a tensor that torchvision's networks of these families do not have */
export function readStateDict(file: TensorFile, note: string | undefined): ForeignModel {
  const parsed = [...file.tensors.keys()].map((name) => parse(name, file.path)).filter(({ what }) => what !== 'num_batches_tracked')
  parsed.sort((a, b) => a.order - b.order)
  const shapeOf = (name: string): readonly number[] => file.tensors.get(name)?.shape ?? []
  const channels = shapeOf(parsed.filter(({ name }) => shapeOf(name).length === 4).at(-1)?.name ?? '')[0] ?? 1
  const firstDense = parsed.find(({ prefix, what }) => prefix.startsWith('classifier.') && what === 'weight')?.name
  return {
    format: 'torchvision',
    tensors: parsed.map((one) => {
      const shape = shapeOf(one.name)
      const role = roleOf(one.what, shapeOf(`${one.prefix}.weight`).length === 1)
      return {
        name: one.name,
        layer: one.layer,
        role,
        ...transposed(file, one.name, shape, one.name === firstDense ? channels : undefined),
      }
    }),
    note,
    close: () => file.close(),
  }
}

/** More than there are features. */
const CLASSIFIER = 1_000_000

function parse(name: string, path: string): Parsed {
  const [, prefix, what] = TENSOR.exec(name) ?? []
  if (prefix !== undefined && what !== undefined) {
    const [, part, index] = COUNTED.exec(prefix) ?? []
    if (part !== undefined) return { name, prefix, layer: prefix, order: (part === 'features' ? 0 : CLASSIFIER) + Number(index), what }
    const layer = ourResidualName(prefix)
    // The file's own order, which decides nothing: every layer is known by its name.
    if (layer !== undefined) return { name, prefix, layer, order: 0, what }
  }
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `${path}: tensor ${name} is none of torchvision's VGG networks, AlexNet (features.N, classifier.N) or ResNets (layer1.0.conv1, fc)`,
  )
}

function roleOf(what: string, normalization: boolean): TensorRole {
  if (what === 'running_mean') return 'moving_mean'
  if (what === 'running_var') return 'moving_variance'
  if (what === 'weight') return normalization ? 'gamma' : 'kernel'
  return normalization ? 'beta' : 'bias'
}

/** Shape and values in our axes. @param channels of the map that a first dense layer sees flattened */
function transposed(
  file: TensorFile,
  name: string,
  shape: readonly number[],
  channels: number | undefined,
): Pick<ForeignTensor, 'shape' | 'read'> {
  if (shape.length === 4) {
    const read = async (): Promise<Float32Array> => permuteAxes(await file.read(name), shape, HWIO_FROM_OIHW)
    return { shape: HWIO_FROM_OIHW.map((axis) => shape[axis] ?? 1), read }
  }
  if (shape.length !== 2) return { shape, read: () => file.read(name) }
  const [outputs = 1, inputs = 1] = shape
  const side = channels === undefined ? 1 : Math.sqrt(inputs / channels)
  const folded = channels !== undefined && Number.isInteger(side) ? [outputs, channels, side, side] : [outputs, inputs, 1, 1]
  return { shape: [inputs, outputs], read: async () => permuteAxes(await file.read(name), folded, HWIO_FROM_OIHW) }
}

/**
 * Our tensors under torchvision's names, in its axes.
 * @throws TrainError CHECKPOINT_MISMATCH for a network that torchvision does not have
 */
export function stateDictTensors(network: Network, tensors: readonly NamedTensor[]): WrittenTensor[] {
  const names = torchLayerNames(network)
  const map = mapBeforeDense(network)
  const firstDense = network.layers.find(({ type }) => type === 'dense')?.name
  return tensors.map(({ layer, role, shape, read }) => {
    const prefix = names.get(layer)
    invariant(prefix !== undefined, `${layer} has a name`)
    const name = `${prefix}.${torchName(role)}`
    if (role !== 'kernel') return { name, shape, read }
    if (shape.length === 4) {
      const written = OIHW_FROM_HWIO.map((axis) => shape[axis] ?? 1)
      return { name, shape: written, read: async () => permuteAxes(await read(), shape, OIHW_FROM_HWIO) }
    }
    const [inputs = 1, outputs = 1] = shape
    const folded = layer === firstDense && map !== undefined ? [...map, outputs] : [1, 1, inputs, outputs]
    invariant(folded.reduce((product, side) => product * side, 1) === inputs * outputs, `${layer} sees the flattened map`)
    return { name, shape: [outputs, inputs], read: async () => permuteAxes(await read(), folded, OIHW_FROM_HWIO) }
  })
}

function torchName(role: TensorRole): string {
  switch (role) {
    case 'kernel':
    case 'gamma':
      return 'weight'
    case 'bias':
    case 'beta':
      return 'bias'
    case 'moving_mean':
      return 'running_mean'
    case 'moving_variance':
      return 'running_var'
  }
}

/** [height, width, channels] that is flattened before the dense layers; undefined when it is averaged. */
function mapBeforeDense(network: Network): readonly number[] | undefined {
  return shapesOf(network).find(({ layer }) => layer.type === 'flatten')?.input
}
