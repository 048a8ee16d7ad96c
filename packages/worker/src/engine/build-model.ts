import type { LayersModel, SymbolicTensor } from '@tensorflow/tfjs-node-gpu'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { customLayers, type CustomLayers, type KeyedDropout } from './custom-layers.js'
import type { TensorFlow } from './load-tensorflow.js'

export interface BuiltModel {
  /** [batch, …inputShape] → [batch, classes], logits. Weights are 0 until they are set. */
  readonly model: LayersModel
  /** Dropout layers with their index in Network.layers. */
  readonly dropouts: readonly { readonly layer: KeyedDropout; readonly index: number }[]
}

/** The tf.layers model of a network. */
export function buildModel(tf: TensorFlow, network: Network): BuiltModel {
  const custom = customLayers(tf)
  const dropouts: { layer: KeyedDropout; index: number }[] = []
  const input = tf.input({ shape: [...network.inputShape], name: 'input' })
  let output: SymbolicTensor = input
  network.layers.forEach((spec, index) => {
    if (spec.type === 'dropout') {
      const layer = custom.dropout(spec)
      dropouts.push({ layer, index })
      output = layer.apply(output) as SymbolicTensor
    } else {
      output = layerOf(tf, custom, spec).apply(output) as SymbolicTensor
    }
  })
  return { model: tf.model({ inputs: input, outputs: output, name: network.name }), dropouts }
}

// Zeros, because the averager's weights replace them before the first use; the memory behind them is never touched.
const initializers = { kernelInitializer: 'zeros', biasInitializer: 'zeros' } as const

function layerOf(tf: TensorFlow, custom: CustomLayers, spec: Exclude<LayerSpec, { type: 'dropout' }>) {
  switch (spec.type) {
    case 'convolution':
      return tf.layers.conv2d({
        name: spec.name,
        filters: spec.filters,
        kernelSize: spec.kernel,
        strides: spec.stride,
        padding: spec.padding,
        activation: spec.activation,
        ...initializers,
      })
    case 'maxPooling':
      return tf.layers.maxPooling2d({ name: spec.name, poolSize: spec.size, strides: spec.stride, padding: 'valid' })
    case 'localResponseNormalization':
      return custom.localResponseNormalization(spec)
    case 'flatten':
      return tf.layers.flatten({ name: spec.name })
    case 'globalAveragePooling':
      return tf.layers.globalAveragePooling2d({ name: spec.name })
    case 'dense':
      return tf.layers.dense({ name: spec.name, units: spec.units, activation: spec.activation, ...initializers })
  }
}
