import { invariant, TrainError } from '@lockstep/shared/errors/train-error.js'
import type { TensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { shapesOf } from '@lockstep/shared/models/shapes.js'
import { HWIO_FROM_OIHW, OIHW_FROM_HWIO, permuteAxes } from '../axes.js'
import type { ForeignModel, ForeignTensor, TensorRole } from '../foreign-model.js'
import type { NamedTensor } from '../named-tensor.js'
import type { WrittenTensor } from '../safetensors-file.js'

/**
 * State dicts with the names of torchvision's VGG networks: `features.N` counts convolutions (OIHW), normalizations, ReLUs and
 * poolings, `classifier.N` dense layers (out × in), ReLUs and dropouts. torchvision flattens channels, height, width, and we
 * height, width, channels: the first dense layer is transposed like the convolution that it could be.
 */

const NAME = /^(features|classifier)\.(\d+)\.(weight|bias|running_mean|running_var|num_batches_tracked)$/
/** Between the dense layers of torchvision's classifier stand a ReLU and a dropout. */
const CLASSIFIER_STEP = 3

export function isStateDict(names: Iterable<string>): boolean {
  return [...names].some((name) => /^features\.\d+\.weight$/.test(name))
}

interface Parsed {
  readonly name: string
  readonly part: 'features' | 'classifier'
  readonly index: number
  readonly what: string
}

/** @throws TrainError CHECKPOINT_MISMATCH for a tensor that torchvision's VGG networks do not have */
export function readStateDict(file: TensorFile, note: string | undefined): ForeignModel {
  const parsed = [...file.tensors.keys()].map((name) => parse(name, file.path)).filter(({ what }) => what !== 'num_batches_tracked')
  parsed.sort((a, b) => Number(a.part === 'classifier') - Number(b.part === 'classifier') || a.index - b.index)
  const shapeOf = (name: string): readonly number[] => file.tensors.get(name)?.shape ?? []
  const channels = shapeOf(parsed.filter(({ name, part }) => part === 'features' && shapeOf(name).length === 4).at(-1)?.name ?? '')[0] ?? 1
  const firstDense = parsed.find(({ part, what }) => part === 'classifier' && what === 'weight')?.name
  return {
    format: 'torchvision',
    tensors: parsed.map((one) => {
      const shape = shapeOf(one.name)
      const layer = `${one.part}.${String(one.index)}`
      const role = roleOf(one.what, shapeOf(`${layer}.weight`).length === 1)
      return { name: one.name, layer, role, ...transposed(file, one.name, shape, one.name === firstDense ? channels : undefined) }
    }),
    note,
    close: () => file.close(),
  }
}

function parse(name: string, path: string): Parsed {
  const [, part, index, what] = NAME.exec(name) ?? []
  if (part === undefined || index === undefined || what === undefined)
    throw new TrainError('CHECKPOINT_MISMATCH', `${path}: tensor ${name} is none of torchvision's VGG networks (features.N, classifier.N)`)
  return { name, part: part === 'features' ? 'features' : 'classifier', index: Number(index), what }
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
 * @throws TrainError CHECKPOINT_MISMATCH for a network that is no chain of convolutions and then dense layers
 */
export function stateDictTensors(network: Network, tensors: readonly NamedTensor[]): WrittenTensor[] {
  const names = layerNames(network)
  const map = mapBeforeDense(network)
  const firstDense = network.layers.find(({ type }) => type === 'dense')?.name
  return tensors.map(({ layer, role, shape, read }) => {
    const prefix = names.get(layer)
    if (prefix === undefined)
      throw new TrainError(
        'CHECKPOINT_MISMATCH',
        `${network.name}: layer ${layer} has no name in torchvision's VGG networks; use --format safetensors`,
      )
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

/** The layers of torchvision's VGG networks: any other, and a network has no names there. */
const CHAIN = new Set(['convolution', 'batchNormalization', 'maxPooling', 'flatten', 'globalAveragePooling', 'dense', 'dropout'])

/** `features.0` for each of our layers with tensors: every convolution has a ReLU behind it that counts. */
function layerNames(network: Network): Map<string, string> {
  const names = new Map<string, string>()
  if (!network.layers.every(({ type }) => CHAIN.has(type))) return names
  let feature = 0
  let dense = 0
  let activation = 0
  for (const layer of network.layers) {
    const type: string = layer.type
    if (type === 'dense') names.set(layer.name, `classifier.${String(CLASSIFIER_STEP * dense++)}`)
    if (dense > 0 || type === 'flatten' || type === 'globalAveragePooling') continue
    // A normalization stands between a convolution and its ReLU.
    if (type !== 'batchNormalization') {
      feature += activation
      activation = 0
    }
    names.set(layer.name, `features.${String(feature++)}`)
    if (type === 'convolution') activation = 1
  }
  return names
}

/** [height, width, channels] that is flattened before the dense layers; undefined when it is averaged. */
function mapBeforeDense(network: Network): readonly number[] | undefined {
  return shapesOf(network).find(({ layer }) => layer.type === 'flatten')?.input
}
