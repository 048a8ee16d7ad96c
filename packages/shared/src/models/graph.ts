/** Networks as data: the kinds of layers that one can have, and how they hang together. */

/** What every layer has. */
interface Layer {
  /** Keras layer name, one of its kind in the network. */
  readonly name: string
  /** The layers whose outputs it takes, by name; `input` is the picture. They stand before it. Default: the layer before. */
  readonly inputs?: readonly string[]
  /** false: its parameters and batch statistics stay as they are. All such layers stand before all others. */
  readonly trainable?: false
}

export interface ConvolutionSpec extends Layer {
  readonly type: 'convolution'
  readonly filters: number
  readonly kernel: number
  readonly stride: number
  /** A number: so many pixels of zeros on every side. `same` is TensorFlow's, whose odd pixel stands at the end. */
  readonly padding: 'same' | 'valid' | number
  readonly activation: 'relu' | 'linear'
  /** Channels are split into so many groups that do not see each other, input and output alike. Default: 1. */
  readonly groups?: number
  /** false: no bias, where batch normalization takes its place. */
  readonly useBias?: false
  /** What its biases start from. Default: 0. */
  readonly initialBias?: number
}

export interface MaxPoolingSpec extends Layer {
  readonly type: 'maxPooling'
  readonly size: number
  readonly stride: number
  /** A number: so many pixels on every side that are never the largest; `same` is TensorFlow's. Default: 0. */
  readonly padding?: number | 'same'
}

export interface AveragePoolingSpec extends Layer {
  readonly type: 'averagePooling'
  readonly size: number
  readonly stride: number
  /** `same` is TensorFlow's: pixels outside of the picture count for nothing. */
  readonly padding: 'same' | 'valid'
}

/** Functions that a layer of its own can be; others have ReLU, or the sigmoid of a dense layer, as part of them. */
export const ACTIVATIONS = ['relu', 'relu6', 'leakyRelu', 'sigmoid', 'tanh', 'elu', 'selu', 'softplus', 'softsign', 'swish'] as const

/** A function applied to every value. */
export interface ActivationSpec extends Layer {
  readonly type: 'activation'
  readonly function: (typeof ACTIVATIONS)[number]
  /** Of leakyRelu below 0. */
  readonly slope?: number
}

/** The channels of all inputs one after the other; or their units. */
export interface ConcatenateSpec extends Layer {
  readonly type: 'concatenate'
  readonly inputs: readonly string[]
}

export interface LocalResponseNormalizationSpec extends Layer {
  readonly type: 'localResponseNormalization'
  /** Neighbours on each side: n = 2 · depthRadius + 1 channels are summed. */
  readonly depthRadius: number
  readonly bias: number
  /** Not divided by n. */
  readonly alpha: number
  readonly beta: number
}

/** Ioffe & Szegedy 2015 over the samples and pixels of a micro-batch, then the activation. */
export interface BatchNormalizationSpec extends Layer {
  readonly type: 'batchNormalization'
  /** m in: moving ← m · moving + (1 − m) · the micro-batch's. */
  readonly momentum: number
  readonly epsilon: number
  readonly activation: 'relu' | 'linear'
}

/** The sum of two inputs of one shape, then the activation. */
export interface AddSpec extends Layer {
  readonly type: 'add'
  readonly inputs: readonly [string, string]
  readonly activation: 'relu' | 'linear'
}

/** Maps [h, w, c] times a gate [c]. */
export interface ScaleSpec extends Layer {
  readonly type: 'scale'
  readonly inputs: readonly [maps: string, gate: string]
}

export interface DenseSpec extends Layer {
  readonly type: 'dense'
  readonly units: number
  readonly activation: 'relu' | 'linear' | 'sigmoid'
  /** false: no bias. */
  readonly useBias?: false
  readonly initialBias?: number
}

/** One layer as data. Tensors are NHWC, kernels HWIO or in × out. */
export type LayerSpec =
  | ConvolutionSpec
  | MaxPoolingSpec
  | AveragePoolingSpec
  | ActivationSpec
  | ConcatenateSpec
  | LocalResponseNormalizationSpec
  | BatchNormalizationSpec
  | AddSpec
  | ScaleSpec
  | DenseSpec
  | (Layer & { readonly type: 'flatten' | 'globalAveragePooling' })
  | (Layer & { readonly type: 'dropout'; readonly rate: number })

/** A network as data: a directed graph, in an order in which it can be computed. The last layer is linear: it yields logits. In networks of ours it is `predictions`. */
export interface Network {
  /** The configuration by its own name, never an alias: `vgg-d`. */
  readonly name: string
  /** [height, width, channels]. */
  readonly inputShape: readonly [number, number, number]
  readonly classes: number
  /**
   * The last layer has one unit. binary: the logit of the second of two classes, binary cross-entropy after a sigmoid. regression: a value, and the loss is
   * the square of its difference from the target. Left out: a unit a class.
   */
  readonly task?: 'binary' | 'regression'
  /** regression: the value that each class stands for. */
  readonly targets?: readonly number[]
  /** The index in here is the `layer` of the counters of random numbers. */
  readonly layers: readonly LayerSpec[]
}

/** The name under which layers take the picture. */
export const INPUT = 'input'

/** The names of what the layer with this index takes, in its order. */
export function inputsOf({ layers }: Pick<Network, 'layers'>, index: number): readonly string[] {
  return layers[index]?.inputs ?? [layers[index - 1]?.name ?? INPUT]
}

/** Whether every layer takes the one before it and nothing else. */
export function isChain(network: Pick<Network, 'layers'>): boolean {
  return network.layers.every((_, index) => inputsOf(network, index).join() === (network.layers[index - 1]?.name ?? INPUT))
}
