import type { LayerSpec } from '@lockstep/shared/models/network.js'
import { KERAS_EPSILON } from '../architecture-hints.js'
import type { ForeignLayer } from '../foreign-model.js'

/** Layers in words that are the same where they compute the same, for ours and for those that Keras files state. Pure. */

export interface LayerDescription {
  readonly what: string
  /** Undefined for layers that have none. */
  readonly activation: string | undefined
}

/** Layers that change nothing at prediction, or only say what the input is. */
export const PASSING: ReadonlySet<string> = new Set(['InputLayer', 'Dropout', 'SpatialDropout2D'])
/** Layers that are nothing but an activation: they count to the layer before. */
const ACTIVATIONS: Readonly<Record<string, string>> = { ReLU: 'relu', Softmax: 'softmax' }

/** The activation that the layer is, if it is nothing else. */
export function activationLayer({ className, config }: Pick<ForeignLayer, 'className' | 'config'>): string | undefined {
  return className === 'Activation' ? activationOf(config) : ACTIVATIONS[className]
}

/** Undefined for a layer that Keras does not have. */
export function describeOurs(layer: LayerSpec): LayerDescription | undefined {
  switch (layer.type) {
    case 'convolution': {
      const { kernel, stride, padding, activation, groups = 1, useBias = true } = layer
      const extras = `${groups === 1 ? '' : ` groups ${String(groups)}`}${useBias ? '' : ' without bias'}`
      return { what: `Conv2D ${windowOf(kernel, stride, padding)}${extras}`, activation }
    }
    case 'maxPooling':
      return { what: `MaxPooling2D ${windowOf(layer.size, layer.stride, layer.padding ?? 'valid')}`, activation: undefined }
    case 'averagePooling':
      return { what: `AveragePooling2D ${windowOf(layer.size, layer.stride, layer.padding)}`, activation: undefined }
    case 'concatenate':
      return { what: 'Concatenate', activation: undefined }
    case 'flatten':
      return { what: 'Flatten', activation: undefined }
    case 'globalAveragePooling':
      return { what: 'GlobalAveragePooling2D', activation: undefined }
    case 'dense':
      return { what: `Dense${layer.useBias === false ? ' without bias' : ''}`, activation: layer.activation }
    case 'batchNormalization':
      return { what: `BatchNormalization epsilon ${String(layer.epsilon)}`, activation: layer.activation }
    case 'add':
      return { what: 'Add', activation: layer.activation }
    case 'scale':
      return { what: 'Multiply', activation: undefined }
    default:
      return undefined
  }
}

function windowOf(size: number, stride: number, padding: 'same' | 'valid' | number): string {
  return `${sides(size)} stride ${sides(stride)} ${paddingOf([size, size], [stride, stride], padding)}`
}

/** @param zeros that a ZeroPadding2D before it puts on every side, and that are never the largest where it is a pooling */
export function describeTheirs({ className, config }: Pick<ForeignLayer, 'className' | 'config'>, zeros?: number): LayerDescription {
  switch (className) {
    case 'Conv2D': {
      const extras = [
        sides(config.dilation_rate ?? 1) === '1×1' ? '' : ` dilation ${sides(config.dilation_rate)}`,
        (config.groups ?? 1) === 1 ? '' : ` groups ${text(config.groups)}`,
        config.use_bias === false ? ' without bias' : '',
        orderOf(config),
      ]
      const what = `Conv2D ${theirWindow(config.kernel_size, config.strides ?? 1, config, zeros)}${extras.join('')}`
      return { what, activation: activationOf(config) }
    }
    case 'MaxPooling2D':
    case 'AveragePooling2D': {
      const size = config.pool_size ?? 2
      const what = `${className} ${theirWindow(size, config.strides ?? size, config, zeros)}${orderOf(config)}`
      return { what, activation: undefined }
    }
    case 'GlobalAveragePooling2D':
    case 'Flatten':
      return { what: `${className}${config.keepdims === true ? ' keepdims' : ''}${orderOf(config)}`, activation: undefined }
    case 'Dense':
      return { what: `Dense${config.use_bias === false ? ' without bias' : ''}`, activation: activationOf(config) }
    case 'BatchNormalization': {
      const lacking = ['center', 'scale'].filter((part) => config[part] === false).map((part) => ` without ${part}`)
      const what = `BatchNormalization epsilon ${text(config.epsilon ?? KERAS_EPSILON)}${lacking.join('')}`
      return { what, activation: 'linear' }
    }
    case 'Add':
      return { what: className, activation: 'linear' }
    default:
      return { what: className, activation: undefined }
  }
}

function theirWindow(size: unknown, stride: unknown, { padding = 'valid' }: ForeignLayer['config'], zeros: number | undefined): string {
  const said = zeros === undefined ? padding : padding === 'valid' ? zeros : `${text(padding)} after zeros`
  return `${sides(size)} stride ${sides(stride)} ${paddingOf(pair(size), pair(stride), said)}`
}

/** One word for what is the same: at stride 1 as many zeros as half a kernel are `same`, and 1 × 1 needs none. */
function paddingOf(size: readonly unknown[], stride: readonly unknown[], padding: unknown): string {
  if (padding === 'same' && size.every((side) => side === 1)) return 'valid'
  const isHalf = typeof padding === 'number' && padding > 0 && size.every((side) => side === 2 * padding + 1)
  return isHalf && stride.every((step) => step === 1) ? 'same' : text(padding)
}

function orderOf({ data_format: order }: ForeignLayer['config']): string {
  return order === 'channels_first' ? ' channels first' : ''
}

function pair(value: unknown): readonly [unknown, unknown] {
  const [height, width] = Array.isArray(value) ? (value as unknown[]) : [value, value]
  return [height, width ?? height]
}

function sides(value: unknown): string {
  return pair(value).map(String).join('×')
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

export function inWords({ what, activation }: LayerDescription): string {
  return activation === undefined ? what : `${what}, ${activation}`
}
