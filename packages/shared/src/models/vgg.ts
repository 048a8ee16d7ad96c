import { TrainError, invariant } from '../errors/train-error.js'
import type { Recipe } from '../recipe/schema.js'
import type { LayerSpec, Network } from './network.js'

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
export function configurationName(name: Recipe['model']['name']): Configuration {
  switch (name) {
    case 'vgg11':
    case 'vgg13':
    case 'vgg16':
    case 'vgg19':
      return ALIASES[name]
    default:
      return name
  }
}

/** Convolution layers of every configuration, by name: what tells a checkpoint's configuration without its metadata. */
export function convolutionNames(configuration: Configuration): string[] {
  return CONFIGURATIONS[configuration].blocks.flatMap((block, index) =>
    block.map((_, position) => `block${String(index + 1)}_conv${String(position + 1)}`),
  )
}

/** Every configuration, shallowest first. */
export const VGG_CONFIGURATIONS = Object.keys(CONFIGURATIONS) as Configuration[]

/** Krizhevsky 2012, section 3.3: k 2, n 5, alpha 1e-4, beta 0.75; the VGG paper, section 2.2, takes the same. */
const LOCAL_RESPONSE_NORMALIZATION = { depthRadius: 2, bias: 2, alpha: 1e-4, beta: 0.75 } as const

/**
 * A VGG network of any width and input size.
 * @throws TrainError RECIPE_INVALID when five poolings leave nothing of the input
 */
export function vggNetwork(model: Recipe['model'], classes: number): Network {
  invariant(classes >= 1, 'a network has at least one class')
  const configuration = CONFIGURATIONS[configurationName(model.name)]
  const smallest = 2 ** configuration.blocks.length
  if (model.inputSize < smallest) {
    throw new TrainError(
      'RECIPE_INVALID',
      `model.inputSize: ${String(model.inputSize)} pixels are too few for the ${String(configuration.blocks.length)} poolings of ${configuration.name}; use ${String(smallest)} or more.`,
    )
  }
  const head: LayerSpec =
    model.head === 'flatten' ? { type: 'flatten', name: 'flatten' } : { type: 'globalAveragePooling', name: 'global_average_pooling' }
  return {
    name: configuration.name,
    inputShape: [model.inputSize, model.inputSize, 3],
    classes,
    layers: [
      ...convolutionalLayers(configuration, model.width),
      head,
      ...hiddenLayers(model),
      { type: 'dense', name: 'predictions', units: classes, activation: 'linear' },
    ],
  }
}

function convolutionalLayers(configuration: VggConfiguration, width: number): LayerSpec[] {
  const layers: LayerSpec[] = []
  configuration.blocks.forEach((block, index) => {
    const name = `block${String(index + 1)}`
    block.forEach(([kernel, filters], position) => {
      layers.push({
        type: 'convolution',
        name: `${name}_conv${String(position + 1)}`,
        filters: Math.max(1, Math.round(filters * width)),
        kernel,
        stride: 1,
        padding: 'same',
        activation: 'relu',
      })
      if (configuration.localResponseNormalization && layers.length === 1) {
        layers.push({ type: 'localResponseNormalization', name: `${name}_lrn1`, ...LOCAL_RESPONSE_NORMALIZATION })
      }
    })
    layers.push({ type: 'maxPooling', name: `${name}_pool`, size: 2, stride: 2 })
  })
  return layers
}

/** Dropout stands after each hidden fully connected layer; at rate 0 there is no such layer. */
function hiddenLayers(model: Recipe['model']): LayerSpec[] {
  return model.fullyConnected.flatMap((units, index): LayerSpec[] => {
    const name = `fc${String(index + 1)}`
    const dense: LayerSpec = { type: 'dense', name, units, activation: 'relu' }
    return model.dropout > 0 ? [dense, { type: 'dropout', name: `${name}_dropout`, rate: model.dropout }] : [dense]
  })
}
