import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { convolutionNames, VGG_CONFIGURATIONS } from '@lockstep/shared/models/vgg.js'
import { shapesOf } from '@lockstep/shared/models/shapes.js'
import { modelSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { groupByLayer, kernelShapes } from './foreign-layers.js'
import type { ForeignModel } from './foreign-model.js'

/** Which network a file holds: from the shapes of its kernels, from the architecture where it has one, and from what is said. Pure. */

/** What a person says of the network, or an export of ours wrote beside it; everything else is found. */
export interface ModelHints {
  readonly name?: Recipe['model']['name'] | undefined
  readonly width?: number | undefined
  readonly inputSize?: number | undefined
  readonly fullyConnected?: readonly number[] | undefined
  readonly head?: Recipe['model']['head'] | undefined
  readonly dropout?: number | undefined
}

export interface FoundModel {
  readonly model: Recipe['model']
  readonly network: Network
}

/** Five poolings: the last feature map has a 32nd of the input's side. */
const REDUCTION = 32

/**
 * @param file for messages
 * @throws TrainError CHECKPOINT_MISMATCH when the file holds no network that Lockstep knows, USAGE when the hints are none
 */
export function findModel(foreign: ForeignModel, file: string, hints: ModelHints): FoundModel {
  const groups = groupByLayer(foreign.tensors)
  const convolutions = kernelShapes(groups, 'convolution')
  const dense = kernelShapes(groups, 'dense')
  const classes = dense.at(-1)?.[1]
  if (convolutions.length === 0 || classes === undefined) {
    const what = convolutions.length === 0 ? 'no convolution' : 'no dense layer (a network without its top)'
    throw new TrainError('CHECKPOINT_MISMATCH', `${file} has ${what}; Lockstep imports whole networks for classes, with their last layer`)
  }
  const name = hints.name ?? configurationOf(convolutions, file)
  const normalized = groups.some(({ kind }) => kind === 'normalization')
  const found = name.startsWith('vgg')
    ? { ...vggHints(foreign, convolutions, dense), ...(normalized ? { batchNormalization: true } : {}) }
    : {}
  const stated = Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined))
  const model = modelSchema.safeParse({ ...found, ...stated, name })
  if (!model.success) {
    const issue = model.error.issues[0]
    throw new TrainError('USAGE', `${issue?.path.join('.') ?? 'model'}: ${issue?.message ?? 'wrong'}; see \`lockstep import --help\``)
  }
  return { model: model.data, network: networkOf(model.data, classes) }
}

/** The configuration whose convolutions these are; of two with as many (C and D) the one with more of the shapes. A-LRN has to be said. */
function configurationOf(convolutions: readonly (readonly number[])[], file: string): Recipe['model']['name'] {
  const fitting = VGG_CONFIGURATIONS.filter((name) => convolutionNames(name).length === convolutions.length)
  const scored = fitting.map((name) => ({ name, score: matchingKernels(name, convolutions) })).sort((a, b) => b.score - a.score)
  const best = scored[0]
  if (best === undefined) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${file} has ${String(convolutions.length)} convolutions; the VGG networks have 8 (A), 10 (B), 13 (C, D) or 16 (E): say which network it is with --model`,
    )
  }
  return best.name
}

function matchingKernels(name: Recipe['model']['name'], convolutions: readonly (readonly number[])[]): number {
  const model = modelSchema.parse({ name, width: widthOf(convolutions), fullyConnected: [] })
  const kernels = shapesOf(networkOf(model, 1)).flatMap(({ layer, kernel }) => (layer.type === 'convolution' ? [kernel?.join()] : []))
  return kernels.filter((kernel, index) => kernel === convolutions[index]?.join()).length
}

/** The widest layer has 512 filters at width 1, so it tells the multiplier best. */
function widthOf(convolutions: readonly (readonly number[])[]): number {
  return Math.min(16, Math.max(...convolutions.map((shape) => shape[3] ?? 1)) / 512)
}

function vggHints(foreign: ForeignModel, convolutions: readonly (readonly number[])[], dense: readonly (readonly number[])[]): ModelHints {
  const channels = convolutions.at(-1)?.[3] ?? 1
  const side = Math.sqrt((dense[0]?.[0] ?? 1) / channels)
  const architecture = architectureHints(foreign)
  return {
    width: widthOf(convolutions),
    fullyConnected: dense.slice(0, -1).map((shape) => shape[1] ?? 1),
    // One value a channel is a flattened map of 1 × 1 or an average: without an architecture the former, at the smallest input.
    inputSize: architecture.inputSize ?? Math.max(1, Math.floor(side)) * REDUCTION,
    head: architecture.head ?? 'flatten',
    ...(architecture.dropout === undefined ? {} : { dropout: architecture.dropout }),
  }
}

/** What the stated layers say: the input's side, what stands before the dense layers, the share dropped. */
function architectureHints({ layers }: ForeignModel): ModelHints {
  if (layers === undefined) return {}
  const inputSize = layers.map(({ config }) => inputSideOf(config)).find((side) => side !== undefined)
  const averaged = layers.some(({ className }) => className === 'GlobalAveragePooling2D')
  const rate = layers.find(({ className }) => className === 'Dropout')?.config.rate
  return { inputSize, head: averaged ? 'globalAveragePooling' : 'flatten', dropout: typeof rate === 'number' ? rate : 0 }
}

/** [batch, height, width, channels] of an input layer, or of a first layer that has the input in it. */
function inputSideOf(config: Readonly<Record<string, unknown>>): number | undefined {
  const shape = config.batch_shape ?? config.batch_input_shape
  const side: unknown = Array.isArray(shape) ? shape[1] : undefined
  return typeof side === 'number' && shape !== undefined && Array.isArray(shape) && shape.length === 4 ? side : undefined
}
