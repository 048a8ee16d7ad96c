import type { ActivationSpec, LayerSpec } from '../models/graph.js'
import { isRecord, type KerasNode } from './keras-graph.js'

/** One layer of Keras or tfjs as one of ours, and why not. Pure. */

/** A layer without its place in the graph. */
export type BareLayer = LayerSpec extends infer Spec ? (Spec extends LayerSpec ? Omit<Spec, 'inputs'> : never) : never

/** What a function that stands behind a layer is called in a network of ours. */
export type FunctionName = ActivationSpec['function'] | 'linear' | 'softmax'

export type Conversion =
  /** A layer, and the function behind it that is not part of it. */
  | { readonly kind: 'layer'; readonly layer: BareLayer; readonly activation: FunctionName }
  /** Nothing but a function. */
  | { readonly kind: 'function'; readonly function: FunctionName; readonly slope?: number }
  /** It changes nothing. */
  | { readonly kind: 'nothing' }
  /** Zeros around the picture, for the convolution behind it. */
  | { readonly kind: 'zeros'; readonly pixels: number }
  /** Several inputs added, or one behind the other. */
  | { readonly kind: 'sum' | 'concatenation' }

/** What a layer has that is not taken over, and does no harm. */
export type Leftover = 'initializers' | 'seed'

/** Why a layer cannot be taken: `reason; remedy`. */
export class Refusal extends Error {}

type Config = KerasNode['config']

/** Layers that are refused for a reason that their class alone tells. */
const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/RNN|LSTM|GRU|TimeDistributed|Bidirectional/, 'works on sequences and keeps a state between them; networks for pictures do without it'],
  [
    /^(Gaussian(Noise|Dropout)|AlphaDropout|SpatialDropout\dD)$/,
    'draws random numbers of its own, which no worker could repeat; use dropout, whose masks are drawn by the seed of the recipe',
  ],
  [
    /^(Rescaling|Normalization|Resizing|CenterCrop|Random\w+)$/,
    'prepares pictures, which the recipe does (data.normalize, data.augment); leave it out',
  ],
  [/^(Sequential|Functional|Model)$/, 'is a model inside of the model; put its layers in its place'],
  [/^(SeparableConv2D|DepthwiseConv2D|Conv2DTranspose|LocallyConnected2D)$/, 'is a kind of convolution that is not supported; use conv2d'],
  [/^GlobalMaxPooling\dD$/, 'is not supported; use globalAveragePooling2d'],
  [/^(LayerNormalization|GroupNormalization|UnitNormalization)$/, 'is not supported; use batchNormalization'],
  [/^(Multiply|Average|Maximum|Minimum|Dot|Subtract)$/, 'is not supported; paths can meet in add and concatenate'],
  [
    /^(Reshape|Permute|RepeatVector|Cropping2D|UpSampling2D)$/,
    'is not supported; flatten and globalAveragePooling2d lead from maps to values',
  ],
]

/** The classes that there is a layer for. */
const SUPPORTED =
  'conv2d, dense, maxPooling2d, averagePooling2d, globalAveragePooling2d, flatten, batchNormalization, dropout, activation, reLU, leakyReLU, elu, softmax, add, concatenate and zeroPadding2d'

/** @param rank dimensions of its first input, the batch included; @throws Refusal */
export function convertLayer({ name, className, config }: KerasNode, rank: number): Conversion {
  requirePlain(config)
  switch (className) {
    case 'Conv2D':
      return convolution(name, config)
    case 'Dense':
      return dense(name, config)
    case 'MaxPooling2D':
    case 'AveragePooling2D':
      return pooling(name, className, config)
    case 'Flatten':
      requireChannelsLast(config)
      return { kind: 'layer', layer: { type: 'flatten', name }, activation: 'linear' }
    case 'GlobalAveragePooling2D':
      requireChannelsLast(config)
      if (config.keepdims === true) throw new Refusal('keeps dimensions of one; leave keepdims out')
      return { kind: 'layer', layer: { type: 'globalAveragePooling', name }, activation: 'linear' }
    case 'Dropout':
      return dropout(name, config)
    case 'BatchNormalization':
      return normalization(name, config, rank)
    case 'Activation':
      return { kind: 'function', function: functionOf(config.activation) }
    case 'ReLU':
    case 'LeakyReLU':
    case 'ELU':
    case 'Softmax':
      return { kind: 'function', ...functionLayer(className, config) }
    case 'Add':
      return { kind: 'sum' }
    case 'Concatenate':
      if (![-1, rank - 1].includes(numberOf(config.axis, -1)))
        throw new Refusal(`joins along axis ${text(config.axis)}; join channels, axis -1`)
      return { kind: 'concatenation' }
    case 'ZeroPadding2D':
      return { kind: 'zeros', pixels: zeros(config) }
    default: {
      const reason = REFUSED.find(([pattern]) => pattern.test(className))?.[1]
      throw new Refusal(reason ?? `is no layer that Lockstep has; use ${SUPPORTED}`)
    }
  }
}

/** What of a layer's settings is not taken over. */
export function leftoversOf({ className, config }: KerasNode): Leftover[] {
  const found: Leftover[] = []
  const foreign = Object.entries(config).some(
    ([key, value]) => key.endsWith('_initializer') && !isUsual(key, value) && initialValue(key, value) === undefined,
  )
  if (foreign) found.push('initializers')
  if (className === 'Dropout' && typeof config.seed === 'number') found.push('seed')
  return found
}

function convolution(name: string, config: Config): Conversion {
  requireChannelsLast(config)
  const kernel = side(config.kernel_size, 'kernel')
  if (side(config.dilation_rate ?? 1, 'dilation') !== 1) throw new Refusal('is dilated; leave dilationRate out')
  const groups = numberOf(config.groups, 1)
  return {
    kind: 'layer',
    layer: {
      ...{ type: 'convolution', name, filters: numberOf(config.filters, 0), kernel, stride: side(config.strides ?? 1, 'stride') },
      ...{ padding: paddingOf(config), activation: 'linear' },
      ...(groups === 1 ? {} : { groups }),
      ...biasOf(config),
    },
    activation: functionOf(config.activation),
  }
}

function dense(name: string, config: Config): Conversion {
  const layer: BareLayer = { type: 'dense', name, units: numberOf(config.units, 0), activation: 'linear', ...biasOf(config) }
  return { kind: 'layer', layer, activation: functionOf(config.activation) }
}

function pooling(name: string, className: 'MaxPooling2D' | 'AveragePooling2D', config: Config): Conversion {
  requireChannelsLast(config)
  const size = side(config.pool_size ?? 2, 'window')
  const stride = side(config.strides ?? size, 'stride')
  const padding = paddingOf(config)
  const layer: BareLayer =
    className === 'AveragePooling2D'
      ? { type: 'averagePooling', name, size, stride, padding }
      : { type: 'maxPooling', name, size, stride, ...(padding === 'same' ? { padding } : {}) }
  return { kind: 'layer', layer, activation: 'linear' }
}

function dropout(name: string, config: Config): Conversion {
  if (config.noise_shape !== undefined && config.noise_shape !== null)
    throw new Refusal('drops whole groups (noiseShape); leave noiseShape out')
  const rate = numberOf(config.rate, 0)
  if (!(rate >= 0 && rate < 1)) throw new Refusal(`drops a share of ${text(config.rate)}; give a rate from 0 to below 1`)
  return rate === 0 ? { kind: 'nothing' } : { kind: 'layer', layer: { type: 'dropout', name, rate }, activation: 'linear' }
}

function normalization(name: string, config: Config, rank: number): Conversion {
  const axis: unknown = Array.isArray(config.axis) ? config.axis[0] : config.axis
  if (![-1, rank - 1].includes(numberOf(axis, -1))) throw new Refusal(`normalizes along axis ${text(axis)}; normalize channels, axis -1`)
  for (const part of ['center', 'scale']) if (config[part] === false) throw new Refusal(`has no ${part}; leave ${part}: false out`)
  const layer: BareLayer = {
    ...{ type: 'batchNormalization', name, activation: 'linear' },
    ...{ momentum: numberOf(config.momentum, 0.99), epsilon: numberOf(config.epsilon, 1e-3) },
  }
  return { kind: 'layer', layer, activation: 'linear' }
}

function functionLayer(className: string, config: Config): { function: FunctionName; slope?: number } {
  switch (className) {
    case 'LeakyReLU':
      return { function: 'leakyRelu', slope: numberOf(config.alpha ?? config.negative_slope, 0.3) }
    case 'ELU':
      if (numberOf(config.alpha, 1) !== 1) throw new Refusal(`has an alpha of ${text(config.alpha)}; only 1 is supported`)
      return { function: 'elu' }
    case 'Softmax':
      return { function: 'softmax' }
    default: {
      if (numberOf(config.threshold, 0) !== 0) throw new Refusal(`has a threshold of ${text(config.threshold)}; leave it out`)
      const [slope, most] = [numberOf(config.negative_slope, 0), config.max_value ?? null]
      if (slope !== 0 && most === null) return { function: 'leakyRelu', slope }
      if (slope === 0 && (most === null || most === 6)) return { function: most === 6 ? 'relu6' : 'relu' }
      throw new Refusal(`is cut off at ${text(most)}; only 6 is supported, without a slope`)
    }
  }
}

/** Keras' and tfjs' names of functions, without underscores and in lower case. */
const FUNCTIONS: Readonly<Record<string, FunctionName>> = {
  ...{ linear: 'linear', relu: 'relu', relu6: 'relu6', sigmoid: 'sigmoid', tanh: 'tanh', elu: 'elu', selu: 'selu' },
  ...{ softplus: 'softplus', softsign: 'softsign', swish: 'swish', silu: 'swish', softmax: 'softmax' },
}

/** A name, or Keras 3's description of a function. */
function functionOf(activation: unknown): FunctionName {
  const name = isRecord(activation) && typeof activation.config === 'string' ? activation.config : (activation ?? 'linear')
  const found = typeof name === 'string' ? FUNCTIONS[name.replaceAll('_', '').toLowerCase()] : undefined
  if (found === undefined)
    throw new Refusal(`has the activation ${text(name)}, which is not supported; use ${Object.keys(FUNCTIONS).join(', ')}`)
  return found
}

/** What would be lost without a word. */
function requirePlain(config: Config): void {
  for (const [key, value] of Object.entries(config)) {
    if (value === null || value === undefined) continue
    if (key.endsWith('_regularizer'))
      throw new Refusal(`has a ${camelCase(key)}, which is not supported; leave it out, and say optimizer.weightDecay in the recipe`)
    if (key.endsWith('_constraint')) throw new Refusal(`has a ${camelCase(key)}, which is not supported; leave it out`)
  }
  if (config.trainable === false)
    throw new Refusal('is not to be trained; frozen layers need weights to keep: give the recipe model.base and model.weights instead')
  const type = isRecord(config.dtype) && isRecord(config.dtype.config) ? config.dtype.config.name : config.dtype
  if (typeof type === 'string' && type !== 'float32') throw new Refusal(`computes in ${type}; only float32 is supported`)
}

function requireChannelsLast(config: Config): void {
  if (config.data_format === 'channels_first') throw new Refusal('has its channels first; use channelsLast')
}

function biasOf(config: Config): { useBias?: false; initialBias?: number } {
  if (config.use_bias === false) return { useBias: false }
  const value = initialValue('bias_initializer', config.bias_initializer)
  return value === undefined || value === 0 ? {} : { initialBias: value }
}

/** What biases are filled with by an initializer that knows no chance. */
function initialValue(key: string, initializer: unknown): number | undefined {
  if (key !== 'bias_initializer' || !isRecord(initializer)) return undefined
  if (initializer.class_name === 'Zeros') return 0
  if (initializer.class_name === 'Ones') return 1
  const given = isRecord(initializer.config) ? initializer.config.value : undefined
  return initializer.class_name === 'Constant' && typeof given === 'number' ? given : undefined
}

/** Whether an initializer is what Keras takes where nothing is said. */
function isUsual(key: string, initializer: unknown): boolean {
  if (!isRecord(initializer)) return true
  const { class_name: className, config } = initializer
  if (key === 'kernel_initializer') {
    // Keras' is uniform, that of tfjs normal.
    const isGlorot = isRecord(config) && config.mode === 'fan_avg' && config.scale === 1
    return className === 'GlorotUniform' || className === 'GlorotNormal' || (className === 'VarianceScaling' && isGlorot)
  }
  return className === (key === 'gamma_initializer' || key === 'moving_variance_initializer' ? 'Ones' : 'Zeros')
}

function zeros({ padding, ...config }: Config): number {
  requireChannelsLast(config)
  const sides = Array.isArray(padding) ? (padding as unknown[]).flat() : [padding ?? 1]
  const [first] = sides
  if (typeof first !== 'number' || sides.some((pixels) => pixels !== first))
    throw new Refusal(`puts ${text(padding)} zeros on its sides; only as many on each are supported`)
  return first
}

/** One number for both sides. */
function side(value: unknown, what: string): number {
  const [height, width] = Array.isArray(value) ? (value as unknown[]) : [value, value]
  if (typeof height !== 'number' || (width ?? height) !== height)
    throw new Refusal(`has a ${what} of ${text(value)}; only square ones are supported`)
  return height
}

function paddingOf({ padding = 'valid' }: Config): 'same' | 'valid' {
  if (padding === 'same' || padding === 'valid') return padding
  throw new Refusal(`has the padding ${text(padding)}; use same or valid`)
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}

function camelCase(key: string): string {
  return key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
