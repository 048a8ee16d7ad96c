import { invariant } from '../errors/train-error.js'
import { channelsOf, NORMALIZATION_EPSILON, type ModelOptions } from './families.js'
import { headLayers, scaled } from './head.js'
import type { BatchNormalizationSpec, ConvolutionSpec, LayerSpec, Network } from './network.js'
import { squeezeExcitation } from './squeeze-excitation.js'

/** He et al. 2015, table 1: the kind of block and how many of them a stage has. */
const CONFIGURATIONS: Record<string, { readonly bottleneck: boolean; readonly blocks: readonly number[] }> = {
  'resnet-18': { bottleneck: false, blocks: [2, 2, 2, 2] },
  'resnet-34': { bottleneck: false, blocks: [3, 4, 6, 3] },
  'resnet-50': { bottleneck: true, blocks: [3, 4, 6, 3] },
  'resnet-101': { bottleneck: true, blocks: [3, 4, 23, 3] },
  'resnet-152': { bottleneck: true, blocks: [3, 8, 36, 3] },
}

const STAGE_CHANNELS = [64, 128, 256, 512] as const
/** A bottleneck's last convolution has so many times the maps of its others. */
const EXPANSION = 4

/** As PyTorch has it (momentum 0.1 there is what the new share is). */
export const BATCH_NORMALIZATION = { momentum: 0.9, epsilon: NORMALIZATION_EPSILON } as const

/** Batch normalization of the layer before. */
export function normalization(name: string, activation: 'relu' | 'linear'): BatchNormalizationSpec {
  return { type: 'batchNormalization', name, ...BATCH_NORMALIZATION, activation }
}

/**
 * A residual network (He et al. 2015, section 3.3 and table 1) with projections where dimensions change (option B), no biases in
 * convolutions, and zeros around the picture as torchvision has them: as many on either side. A bottleneck's stride is in its
 * 3×3 convolution, where torchvision has it too; the paper has it in the 1×1 before. Names are those of Keras.
 */
export function residualNetwork(model: ModelOptions, classes: number): Network {
  const configuration = CONFIGURATIONS[model.name]
  invariant(configuration !== undefined, `${model.name} is a residual network`)
  const stem = scaled(STAGE_CHANNELS[0], model.width)
  const layers: LayerSpec[] = [
    { ...convolution('conv1_conv', stem, 7, 2), padding: 3 },
    normalization('conv1_bn', 'relu'),
    { type: 'maxPooling', name: 'pool1_pool', size: 3, stride: 2, padding: 1 },
  ]
  let [before, channels] = ['pool1_pool', stem]
  configuration.blocks.forEach((count, stage) => {
    for (let block = 0; block < count; block++) {
      const name = `conv${String(stage + 2)}_block${String(block + 1)}`
      const inner = scaled(STAGE_CHANNELS[stage] ?? 0, model.width)
      const outer = configuration.bottleneck ? EXPANSION * inner : inner
      const stride = stage > 0 && block === 0 ? 2 : 1
      const shape = { name, before, inner, outer, stride, projected: stride > 1 || channels !== outer }
      layers.push(...residualBlock(shape, configuration.bottleneck, model.squeezeExcitation))
      before = `${name}_out`
      channels = outer
    }
  })
  return {
    name: model.name,
    inputShape: [model.inputSize, model.inputSize, channelsOf(model)],
    classes,
    layers: [...layers, ...headLayers(model, classes)],
  }
}

interface BlockShape {
  readonly name: string
  /** The layer whose output comes in. */
  readonly before: string
  readonly inner: number
  readonly outer: number
  readonly stride: number
  readonly projected: boolean
}

/** The layers of a block; the last one is `NAME_out`, the sum with its ReLU. */
function residualBlock({ name, before, inner, outer, stride, projected }: BlockShape, bottleneck: boolean, ratio?: number): LayerSpec[] {
  const shortcut = `${name}_0`
  const projection: LayerSpec[] = projected
    ? [{ ...convolution(`${shortcut}_conv`, outer, 1, stride), inputs: [before] }, normalization(`${shortcut}_bn`, 'linear')]
    : []
  const steps = bottleneck
    ? [
        { filters: inner, kernel: 1, stride: 1 },
        { filters: inner, kernel: 3, stride },
        { filters: outer, kernel: 1, stride: 1 },
      ]
    : [
        { filters: inner, kernel: 3, stride },
        { filters: outer, kernel: 3, stride: 1 },
      ]
  const path = steps.flatMap(({ filters, kernel, stride: step }, index): LayerSpec[] => {
    const part = `${name}_${String(index + 1)}`
    const first = index === 0 ? { inputs: [before] } : {}
    return [
      { ...convolution(`${part}_conv`, filters, kernel, step), ...first },
      normalization(`${part}_bn`, index === steps.length - 1 ? 'linear' : 'relu'),
    ]
  })
  const last = `${name}_${String(steps.length)}_bn`
  const gate = ratio === undefined ? [] : squeezeExcitation(last, outer, ratio)
  const residual = gate.at(-1)?.name ?? last
  const sum: LayerSpec = { type: 'add', name: `${name}_out`, inputs: [projected ? `${shortcut}_bn` : before, residual], activation: 'relu' }
  return [...projection, ...path, ...gate, sum]
}

function convolution(name: string, filters: number, kernel: number, stride: number): ConvolutionSpec {
  const padding = (kernel - 1) / 2
  return {
    ...{ type: 'convolution', name, filters, kernel, stride, activation: 'linear', useBias: false },
    // At stride 1 the same zeros, without a copy of the maps.
    padding: kernel === 1 ? 'valid' : stride === 1 ? 'same' : padding,
  }
}
