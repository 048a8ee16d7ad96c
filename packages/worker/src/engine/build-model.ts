import type { LayersModel, SymbolicTensor } from '@tensorflow/tfjs-node-gpu'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { convolutionLayer } from './convolution-layer.js'
import { keyedDropout, type KeyedDropout } from './keyed-dropout.js'
import type { TensorFlow } from './load-tensorflow.js'
import { localResponseNormalization } from './local-response-normalization.js'
import { nativeZeros } from './weight-writer.js'

export interface BuiltModel {
  /** [batch, …inputShape] → [batch, classes], logits. Weights are 0 until they are set. */
  readonly model: LayersModel
  /** Dropout layers with their index in Network.layers. */
  readonly dropouts: readonly { readonly layer: KeyedDropout; readonly index: number }[]
}

/** The tf.layers model of a network. */
export function buildModel(tf: TensorFlow, network: Network): BuiltModel {
  const dropouts: { layer: KeyedDropout; index: number }[] = []
  const input = tf.input({ shape: [...network.inputShape], name: 'input' })
  let output: SymbolicTensor = input
  network.layers.forEach((spec, index) => {
    if (spec.type === 'dropout') {
      const layer = keyedDropout(tf, spec)
      dropouts.push({ layer, index })
      output = layer.apply(output) as SymbolicTensor
    } else {
      output = layerOf(tf, spec, index === 0).apply(output) as SymbolicTensor
    }
  })
  return { model: tf.model({ inputs: input, outputs: output, name: network.name }), dropouts }
}

function layerOf(tf: TensorFlow, spec: Exclude<LayerSpec, { type: 'dropout' }>, first: boolean) {
  switch (spec.type) {
    case 'convolution':
      return convolutionLayer(tf, spec, first)
    case 'maxPooling':
      return tf.layers.maxPooling2d({ name: spec.name, poolSize: spec.size, strides: spec.stride, padding: 'valid' })
    case 'localResponseNormalization':
      return localResponseNormalization(tf, spec)
    case 'flatten':
      return tf.layers.flatten({ name: spec.name })
    case 'globalAveragePooling':
      return tf.layers.globalAveragePooling2d({ name: spec.name })
    case 'dense':
      return tf.layers.dense({
        ...{ name: spec.name, units: spec.units, activation: spec.activation },
        ...{ kernelInitializer: nativeZeros(tf), biasInitializer: nativeZeros(tf) },
      })
  }
}
