import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import type { ForeignLayer } from '../foreign-model.js'

/** Whether the architecture that a Keras file states is that of a network of ours. Pure. */

interface Described {
  readonly name: string
  readonly what: string
}

/**
 * Compares layer by layer what changes the result: class, sizes, strides, padding, activations.
 * @returns false when the network has layers that cannot be compared this way
 * @throws TrainError CHECKPOINT_MISMATCH naming the layer and both descriptions
 */
export function checkArchitecture(layers: readonly ForeignLayer[], network: Network, file: string): boolean {
  const ours: Described[] = []
  for (const layer of network.layers) {
    if (layer.type === 'dropout') continue
    const what = describeOurs(layer)
    if (what === undefined) return false
    ours.push({ name: layer.name, what })
  }
  const theirs = describeTheirs(layers, network.task)
  for (let index = 0; index < Math.max(ours.length, theirs.length); index++) {
    const [own, their] = [ours[index], theirs[index]]
    if (own?.what === their?.what) continue
    const found = their === undefined ? 'ends before it' : `has layer ${their.name} (${their.what})`
    const wanted = own === undefined ? 'nothing more' : `${own.name} (${own.what})`
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${file} ${found} where ${network.name} has ${wanted}; Lockstep would compute something else: import a network of the VGG family`,
    )
  }
  return true
}

function describeOurs(layer: LayerSpec): string | undefined {
  switch (layer.type) {
    case 'convolution':
      return `Conv2D ${sides([layer.kernel, layer.kernel])} stride ${sides([layer.stride, layer.stride])} ${String(layer.padding)}, ${layer.activation}`
    case 'maxPooling':
      return `MaxPooling2D ${sides([layer.size, layer.size])} stride ${sides([layer.stride, layer.stride])} valid`
    case 'flatten':
      return 'Flatten'
    case 'globalAveragePooling':
      return 'GlobalAveragePooling2D'
    case 'dense':
      return `Dense, ${layer.activation}`
    case 'batchNormalization':
      return `BatchNormalization epsilon ${String(layer.epsilon)}, ${layer.activation}`
    default:
      return undefined
  }
}

/** What Keras adds to a variance where nothing is said; PyTorch and we add 1e-5. */
const KERAS_EPSILON = 0.001

/** Layers that change nothing at prediction, or only say what the input is. */
const PASSING = new Set(['InputLayer', 'Dropout', 'SpatialDropout2D'])
/** Layers that are nothing but an activation: they count to the layer before. */
const ACTIVATIONS: Readonly<Record<string, string>> = { ReLU: 'relu', Softmax: 'softmax' }

function describeTheirs(layers: readonly ForeignLayer[], task: Network['task']): Described[] {
  const described: { name: string; what: string; activation: string | undefined }[] = []
  for (const { className, name, config } of layers) {
    if (PASSING.has(className)) continue
    const before = described.at(-1)
    const activation = className === 'Activation' ? activationOf(config) : ACTIVATIONS[className]
    if (activation !== undefined && before?.activation === 'linear') before.activation = activation
    else described.push({ name, ...describeTheir(className, config) })
  }
  // Ours yields logits, and the soft-max is part of the loss and of a prediction.
  const last = described.at(-1)
  if (last?.activation === 'softmax' || (last?.activation === 'sigmoid' && task === 'binary')) last.activation = 'linear'
  return described.map(({ name, what, activation }) => ({ name, what: activation === undefined ? what : `${what}, ${activation}` }))
}

function describeTheir(className: string, config: ForeignLayer['config']): { what: string; activation: string | undefined } {
  switch (className) {
    case 'Conv2D': {
      const extras = [
        sides(config.dilation_rate ?? 1) === '1×1' ? '' : ` dilation ${sides(config.dilation_rate)}`,
        (config.groups ?? 1) === 1 ? '' : ` groups ${text(config.groups)}`,
        orderOf(config),
      ]
      const what = `Conv2D ${sides(config.kernel_size)} stride ${sides(config.strides ?? 1)} ${text(config.padding ?? 'valid')}${extras.join('')}`
      return { what, activation: activationOf(config) }
    }
    case 'MaxPooling2D': {
      const size = config.pool_size ?? 2
      const stride = config.strides ?? size
      return {
        what: `MaxPooling2D ${sides(size)} stride ${sides(stride)} ${text(config.padding ?? 'valid')}${orderOf(config)}`,
        activation: undefined,
      }
    }
    case 'Flatten':
    case 'GlobalAveragePooling2D':
      return { what: `${className}${orderOf(config)}`, activation: undefined }
    case 'Dense':
      return { what: 'Dense', activation: activationOf(config) }
    case 'BatchNormalization': {
      const lacking = ['center', 'scale'].filter((part) => config[part] === false).map((part) => ` without ${part}`)
      const what = `BatchNormalization epsilon ${text(config.epsilon ?? KERAS_EPSILON)}${lacking.join('')}`
      return { what, activation: 'linear' }
    }
    default:
      return { what: className, activation: undefined }
  }
}

function orderOf({ data_format: order }: ForeignLayer['config']): string {
  return order === 'channels_first' ? ' channels first' : ''
}

function sides(value: unknown): string {
  const [height, width] = Array.isArray(value) ? (value as unknown[]) : [value, value]
  return `${String(height)}×${String(width ?? height)}`
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** A name, or Keras 3's description of a function. */
function activationOf({ activation }: ForeignLayer['config']): string {
  if (typeof activation === 'string') return activation
  if (typeof activation === 'object' && activation !== null && 'config' in activation && typeof activation.config === 'string')
    return activation.config
  return activation === undefined || activation === null ? 'linear' : JSON.stringify(activation)
}
