import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { familyDefaults, familyOf, RESNET_NAMES } from '@lockstep/shared/models/families.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { VGG_CONFIGURATIONS } from '@lockstep/shared/models/vgg.js'
import { shapesOf } from '@lockstep/shared/models/shapes.js'
import { modelSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { architectureHints } from './architecture-hints.js'
import { groupByLayer, kernelShapes, type TensorGroup } from './foreign-layers.js'
import type { ForeignModel, ForeignTensor } from './foreign-model.js'

/** Which network a file holds: from the shapes of its kernels, from the architecture where it has one, and from what is said. Pure. */

type ModelName = Recipe['model']['name']
/** HWIO, or in × out. */
type Shape = readonly number[]

/** What a person says of the network, or an export of ours wrote beside it; everything else is found. */
export interface ModelHints {
  readonly name?: ModelName | undefined
  readonly width?: number | undefined
  readonly inputSize?: number | undefined
  readonly fullyConnected?: readonly number[] | undefined
  readonly head?: Recipe['model']['head'] | undefined
  readonly dropout?: number | undefined
  /** What batch normalization adds to a variance. */
  readonly normalizationEpsilon?: number | undefined
}

export interface FoundModel {
  readonly model: Recipe['model']
  readonly network: Network
}

/** Five poolings: the last feature map of a VGG has a 32nd of the input's side. */
const REDUCTION = 32

/**
 * @param file for messages
 * @throws TrainError CHECKPOINT_MISMATCH when the file holds no network that Lockstep knows, USAGE when the hints are none
 */
export function findModel(foreign: ForeignModel, file: string, hints: ModelHints): FoundModel {
  const groups = groupByLayer(foreign.tensors)
  const gates = groups.filter(isGate)
  const convolutions = kernelShapes(groups, 'convolution')
  const dense = kernelShapes(
    groups.filter((group) => !isGate(group)),
    'dense',
  )
  const classes = dense.at(-1)?.[1]
  if (convolutions.length === 0 || classes === undefined) {
    const what = convolutions.length === 0 ? 'no convolution' : 'no dense layer (a network without its top)'
    throw new TrainError('CHECKPOINT_MISMATCH', `${file} has ${what}; Lockstep imports whole networks for classes, with their last layer`)
  }
  const name = hints.name ?? closestNetwork(foreign, convolutions, file)
  const normalized = groups.some(({ kind }) => kind === 'normalization')
  const found = {
    ...familyHints(name, foreign, convolutions, dense),
    ...(familyOf(name) === 'vgg' && normalized ? { batchNormalization: true } : {}),
    ...(gates.length > 0 ? { squeezeExcitation: ratioOf(gates) } : {}),
    ...(normalized ? { normalizationEpsilon: architectureHints(foreign).normalizationEpsilon } : {}),
  }
  const stated = Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined))
  const model = modelSchema.safeParse({ ...found, ...stated, name })
  if (!model.success) {
    const issue = model.error.issues[0]
    throw new TrainError('USAGE', `${issue?.path.join('.') ?? 'model'}: ${issue?.message ?? 'wrong'}; see \`lockstep import --help\``)
  }
  return { model: model.data, network: networkOf(model.data, classes) }
}

/** A dense layer of a squeeze-and-excitation block, by our names. */
function isGate({ layer }: Pick<TensorGroup<ForeignTensor>, 'layer'>): boolean {
  return /_se_fc[12]$/.test(layer)
}

/** The widest block tells the ratio best: a bottleneck has whole units. */
function ratioOf(gates: readonly TensorGroup<ForeignTensor>[]): number {
  const squeezing = kernelShapes(
    gates.filter(({ layer }) => layer.endsWith('1')),
    'dense',
  )
  const [channels = 1, units = 1] = squeezing.reduce((widest, shape) => ((shape[0] ?? 0) > (widest[0] ?? 0) ? shape : widest), [])
  return Math.max(1, Math.round(channels / units))
}

/** The network whose convolutions these are; of several with as many the one with more of the shapes. A-LRN has to be said. */
function closestNetwork({ format }: ForeignModel, convolutions: readonly Shape[], file: string): ModelName {
  // torchvision's AlexNet is the one of 2014, and Krizhevsky's of 2012 has layers that torchvision has not.
  const alexnets = format === 'torchvision' ? (['alexnet-2014'] as const) : (['alexnet', 'alexnet-2014'] as const)
  const names: readonly ModelName[] = [...VGG_CONFIGURATIONS, ...alexnets, ...RESNET_NAMES, 'small-cnn']
  const scored = names
    .map((name) => ({ name, kernels: kernelsOf(name, widthOf(name, convolutions)) }))
    .filter(({ kernels }) => kernels.length === convolutions.length)
    .map(({ name, kernels }) => ({ name, score: kernels.filter((kernel, at) => kernel.join() === convolutions[at]?.join()).length }))
    .sort((a, b) => b.score - a.score)
  const best = scored[0]
  if (best === undefined) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${file} has ${String(convolutions.length)} convolutions; the VGG networks have 8 (A), 10 (B), 13 (C, D) or 16 (E), AlexNet 5, the ResNets 20, 36, 53, 104 or 155: say which network it is with --model`,
    )
  }
  return best.name
}

/** Kernels of a network's convolutions, HWIO, in network order. */
function kernelsOf(name: ModelName, width: number): Shape[] {
  const network = networkOf(modelSchema.parse({ name, width }), 1)
  return shapesOf(network).flatMap(({ layer, kernel }) => (layer.type === 'convolution' && kernel !== undefined ? [kernel] : []))
}

/** The widest layer tells the multiplier best. */
function widthOf(name: ModelName, convolutions: readonly Shape[]): number {
  const widest = (kernels: readonly Shape[]): number => Math.max(...kernels.map((shape) => shape[3] ?? 1))
  return Math.min(16, widest(convolutions) / widest(kernelsOf(name, 1)))
}

function familyHints(name: ModelName, foreign: ForeignModel, convolutions: readonly Shape[], dense: readonly Shape[]): object {
  const width = widthOf(name, convolutions)
  const channels = convolutions[0]?.[2] === 1 ? 1 : 3
  const { inputSize, head, dropout } = architectureHints(foreign)
  const family = familyOf(name)
  if (family === 'resnet') return { width, channels, ...(inputSize === undefined ? {} : { inputSize }) }
  const common = {
    ...{ width, channels, fullyConnected: dense.slice(0, -1).map((shape) => shape[1] ?? 1), head: head ?? 'flatten' },
    ...(dropout === undefined ? {} : { dropout }),
    // One group's kernels see all channels.
    ...(name === 'alexnet' && convolutions[1]?.[2] === convolutions[0]?.[3] ? { groups: 1 } : {}),
  }
  const flattened = dense[0]?.[0] ?? 1
  if (inputSize !== undefined) return { ...common, inputSize }
  // One value a channel is a flattened map of 1 × 1 or an average: without an architecture the former, at the smallest input.
  if (family === 'vgg')
    return { ...common, inputSize: Math.max(1, Math.floor(Math.sqrt(flattened / (convolutions.at(-1)?.[3] ?? 1)))) * REDUCTION }
  return { ...common, inputSize: inputSizeFor({ name, width, channels }, flattened) }
}

/** The side of pictures of which so many values are left when the maps are flattened: the usual one, else the smallest. */
function inputSizeFor(model: { name: ModelName; width: number; channels: number }, flattened: number): number {
  const { inputSize: usual, smallestInput } = familyDefaults(model.name)
  const left = (inputSize: number): number =>
    shapesOf(networkOf(modelSchema.parse({ ...model, inputSize, head: 'flatten' }), 1)).find(({ layer }) => layer.type === 'flatten')
      ?.output[0] ?? 0
  if (left(usual) === flattened) return usual
  let size = smallestInput
  while (size < usual && left(size) < flattened) size++
  return size
}
