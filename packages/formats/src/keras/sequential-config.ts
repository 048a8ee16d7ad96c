import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'

/** A network of ours as a Sequential model of Keras, which Keras 2, Keras 3 and tfjs build from. Pure. */

export interface KerasLayer {
  readonly name: string
  readonly className: string
  readonly config: Readonly<Record<string, unknown>>
}

const INPUT = 'input_1'

/**
 * The layers in order, the input first. The last one has the soft-max that is in our loss.
 * @throws TrainError CHECKPOINT_MISMATCH naming a layer that this does not write
 */
export function kerasLayers(network: Network): KerasLayer[] {
  const layers = network.layers.map((layer, index) => {
    const described = describe(layer, index === network.layers.length - 1 ? lastFunction(network) : undefined)
    if (described !== undefined) return { name: layer.name, ...described }
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${network.name}: layer ${layer.name} (${layer.type}) cannot be written as a Keras layer; export the tensors by name, with --format safetensors`,
    )
  })
  return [{ name: INPUT, className: 'InputLayer', config: {} }, ...layers]
}

/** The architecture as Keras 2 writes it, for `.h5` and for tfjs. */
export function sequentialConfig2(network: Network): Record<string, unknown> {
  const layers = kerasLayers(network).map(({ name, className, config }) => {
    const shape = className === 'InputLayer' ? { batch_input_shape: [null, ...network.inputShape], sparse: false, ragged: false } : {}
    return { class_name: className, config: { name, dtype: 'float32', ...shape, ...config } }
  })
  return { class_name: 'Sequential', config: { name: nameOf(network), layers } }
}

/** The architecture as Keras 3 writes it. */
export function sequentialConfig3(network: Network): Record<string, unknown> {
  const layers = kerasLayers(network).map(({ name, className, config }) => {
    const shape = className === 'InputLayer' ? { batch_shape: [null, ...network.inputShape] } : { trainable: true }
    return { module: 'keras.layers', class_name: className, config: { name, dtype: 'float32', ...shape, ...config }, registered_name: null }
  })
  const build = { input_shape: [null, ...network.inputShape] }
  const config = { name: nameOf(network), trainable: true, layers, build_input_shape: build.input_shape }
  return { module: 'keras', class_name: 'Sequential', config, registered_name: null, build_config: build }
}

/** What Keras puts behind the last layer, which is in our loss. */
function lastFunction({ task }: Network): 'softmax' | 'sigmoid' | 'linear' {
  return task === undefined ? 'softmax' : task === 'binary' ? 'sigmoid' : 'linear'
}

function nameOf(network: Network): string {
  return network.name.replaceAll('-', '_')
}

/** @param last what stands in the place of the last layer's own activation */
function describe(layer: LayerSpec, last: 'softmax' | 'sigmoid' | 'linear' | undefined): Omit<KerasLayer, 'name'> | undefined {
  const order = { data_format: 'channels_last' }
  if (last !== undefined && layer.type !== 'dense') return undefined
  switch (layer.type) {
    case 'convolution': {
      const { filters, kernel, stride, padding, activation, groups = 1, useBias = true } = layer
      // As many zeros on either side is a layer of its own in Keras.
      if (typeof padding === 'number') return undefined
      const sizes = { filters, kernel_size: [kernel, kernel], strides: [stride, stride], padding, ...order }
      return { className: 'Conv2D', config: { ...sizes, dilation_rate: [1, 1], groups, activation, use_bias: useBias } }
    }
    case 'maxPooling':
    case 'averagePooling': {
      const { size, stride, padding = 'valid' } = layer
      if (typeof padding === 'number') return undefined
      const className = layer.type === 'maxPooling' ? 'MaxPooling2D' : 'AveragePooling2D'
      return { className, config: { pool_size: [size, size], strides: [stride, stride], padding, ...order } }
    }
    case 'activation':
      // These two have settings, or are named otherwise, from version to version.
      if (layer.function === 'leakyRelu' || layer.function === 'relu6') return undefined
      return { className: 'Activation', config: { activation: layer.function } }
    case 'flatten':
      return { className: 'Flatten', config: order }
    case 'globalAveragePooling':
      return { className: 'GlobalAveragePooling2D', config: order }
    case 'dense':
      return { className: 'Dense', config: { units: layer.units, activation: last ?? layer.activation, use_bias: layer.useBias !== false } }
    case 'dropout':
      return { className: 'Dropout', config: { rate: layer.rate } }
    default:
      return undefined
  }
}
