import { invariant } from '../errors/train-error.js'
import { LOCAL_RESPONSE_NORMALIZATION } from './alexnet.js'
import { channelsOf, type ModelName, type ModelOptions } from './families.js'
import { headLayers, scaled } from './head.js'
import type { LayerSpec, Network } from './network.js'
import { normalization } from './resnet.js'
import { squeezeExcitation } from './squeeze-excitation.js'

/**
 * The configurations of Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
 * (arXiv 1409.1556v6), table 1, as data.
 */
interface VggConfiguration {
  readonly name: string
  /** Local response normalization after the first convolution. */
  readonly localResponseNormalization: boolean
  /** A block: its convolutions as [kernel, filters at full width], then one pooling. */
  readonly blocks: readonly (readonly (readonly [kernel: number, filters: number])[])[]
}

type Configuration = 'vgg-a' | 'vgg-a-lrn' | 'vgg-b' | 'vgg-c' | 'vgg-d' | 'vgg-e'

const FILTERS = [64, 128, 256, 512, 512] as const

/** `convolutions[i]` 3×3 convolutions in block i, then `pointwise[i]` 1×1 ones. */
function blocksOf(convolutions: readonly number[], pointwise: readonly number[] = []): [number, number][][] {
  return FILTERS.map((filters, block) => [
    ...Array.from({ length: convolutions[block] ?? 0 }, (): [number, number] => [3, filters]),
    ...Array.from({ length: pointwise[block] ?? 0 }, (): [number, number] => [1, filters]),
  ])
}

const CONFIGURATIONS: Record<Configuration, VggConfiguration> = {
  'vgg-a': { name: 'vgg-a', localResponseNormalization: false, blocks: blocksOf([1, 1, 2, 2, 2]) },
  'vgg-a-lrn': { name: 'vgg-a-lrn', localResponseNormalization: true, blocks: blocksOf([1, 1, 2, 2, 2]) },
  'vgg-b': { name: 'vgg-b', localResponseNormalization: false, blocks: blocksOf([2, 2, 2, 2, 2]) },
  'vgg-c': { name: 'vgg-c', localResponseNormalization: false, blocks: blocksOf([2, 2, 2, 2, 2], [0, 0, 1, 1, 1]) },
  'vgg-d': { name: 'vgg-d', localResponseNormalization: false, blocks: blocksOf([2, 2, 3, 3, 3]) },
  'vgg-e': { name: 'vgg-e', localResponseNormalization: false, blocks: blocksOf([2, 2, 4, 4, 4]) },
}

const ALIASES = { vgg11: 'vgg-a', vgg13: 'vgg-b', vgg16: 'vgg-d', vgg19: 'vgg-e' } as const

/** The configuration that a model name or its alias stands for. */
function configurationName(name: ModelName): Configuration {
  const found = name in ALIASES ? ALIASES[name as keyof typeof ALIASES] : name
  invariant(found in CONFIGURATIONS, `${name} is a VGG network`)
  return found as Configuration
}

/** Convolution layers of every configuration, by name: what tells a checkpoint's configuration without its metadata. */
export function convolutionNames(configuration: Configuration): string[] {
  return CONFIGURATIONS[configuration].blocks.flatMap((block, index) =>
    block.map((_, position) => `block${String(index + 1)}_conv${String(position + 1)}`),
  )
}

/** Every configuration, shallowest first. */
export const VGG_CONFIGURATIONS = Object.keys(CONFIGURATIONS) as Configuration[]

/**
 * A VGG network of any width and input size; by option with batch normalization between every convolution and its ReLU, as torchvision
 * has it, and with a squeeze-and-excitation block after every convolution.
 */
export function vggNetwork(model: ModelOptions, classes: number): Network {
  const configuration = CONFIGURATIONS[configurationName(model.name)]
  return {
    name: configuration.name,
    inputShape: [model.inputSize, model.inputSize, channelsOf(model)],
    classes,
    layers: [...convolutionalLayers(configuration, model), ...headLayers(model, classes)],
  }
}

function convolutionalLayers(configuration: VggConfiguration, model: ModelOptions): LayerSpec[] {
  const layers: LayerSpec[] = []
  configuration.blocks.forEach((block, index) => {
    const name = `block${String(index + 1)}`
    block.forEach(([kernel, filters], position) => {
      const first = layers.length === 0
      layers.push(...convolutionLayers(`${name}_conv${String(position + 1)}`, scaled(filters, model.width), kernel, model))
      if (configuration.localResponseNormalization && first) {
        layers.push({ type: 'localResponseNormalization', name: `${name}_lrn1`, ...LOCAL_RESPONSE_NORMALIZATION })
      }
    })
    layers.push({ type: 'maxPooling', name: `${name}_pool`, size: 2, stride: 2 })
  })
  return layers
}

function convolutionLayers(name: string, filters: number, kernel: number, model: ModelOptions): LayerSpec[] {
  const normalized = model.batchNormalization === true
  const activation = normalized ? 'linear' : 'relu'
  const layers: LayerSpec[] = [{ type: 'convolution', name, filters, kernel, stride: 1, padding: 'same', activation }]
  if (normalized) layers.push(normalization(`${name}_bn`, 'relu'))
  if (model.squeezeExcitation !== undefined)
    layers.push(...squeezeExcitation(layers.at(-1)?.name ?? name, filters, model.squeezeExcitation))
  return layers
}
