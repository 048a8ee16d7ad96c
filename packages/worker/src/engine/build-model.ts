import type { layers, LayersModel, SymbolicTensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { INPUT, inputsOf, type Network } from '@lockstep/shared/models/network.js'
import { shapesOf, type LayerShapes } from '@lockstep/shared/models/shapes.js'
import { activationLayer } from './activation-layer.js'
import { batchNormalizationLayer, type BatchNormalizationLayer } from './batch-normalization-layer.js'
import { convolutionLayer } from './convolution-layer.js'
import { addLayer, scaleLayer } from './joining-layers.js'
import { keyedDropout, type KeyedDropout } from './keyed-dropout.js'
import type { TensorFlow } from './load-tensorflow.js'
import { localResponseNormalization } from './local-response-normalization.js'
import { paddedMaxPooling } from './max-pooling.js'
import { nativeZeros } from './weight-writer.js'

export interface BuiltModel {
  /** [batch, …inputShape] → [batch, classes], logits. Weights are 0 until they are set. */
  readonly model: LayersModel
  /** Dropout layers with their index in Network.layers. */
  readonly dropouts: readonly { readonly layer: KeyedDropout; readonly index: number }[]
  /** Those that are trained, in network order. */
  readonly normalizations: readonly BatchNormalizationLayer[]
}

/** The tf.layers model of a network. */
export function buildModel(tf: TensorFlow, network: Network): BuiltModel {
  const dropouts: { layer: KeyedDropout; index: number }[] = []
  const normalizations: BatchNormalizationLayer[] = []
  const input = tf.input({ shape: [...network.inputShape], name: INPUT })
  const outputs = new Map<string, SymbolicTensor>([[INPUT, input]])
  let last: SymbolicTensor = input
  shapesOf(network).forEach((shapes, index) => {
    const { layer: spec } = shapes
    const names = inputsOf(network, index)
    const taken = names.map((name) => {
      const output = outputs.get(name)
      invariant(output !== undefined, `layer ${name} stands before ${spec.name}`)
      return output
    })
    let layer: layers.Layer
    if (spec.type === 'dropout') {
      const dropout = keyedDropout(tf, spec)
      dropouts.push({ layer: dropout, index })
      layer = dropout
    } else if (spec.type === 'batchNormalization') {
      const normalization = batchNormalizationLayer(tf, spec)
      if (spec.trainable !== false) normalizations.push(normalization)
      layer = normalization
    } else {
      layer = layerOf(tf, shapes, names[0] === INPUT)
    }
    const [only] = taken
    last = layer.apply(taken.length === 1 && only !== undefined ? only : taken) as SymbolicTensor
    outputs.set(spec.name, last)
  })
  return { model: tf.model({ inputs: input, outputs: last, name: network.name }), dropouts, normalizations }
}

function layerOf(tf: TensorFlow, { layer: spec, output }: LayerShapes, onPicture: boolean): layers.Layer {
  const { name } = spec
  switch (spec.type) {
    case 'convolution':
      return convolutionLayer(tf, spec, output, onPicture)
    case 'maxPooling':
      return spec.padding === undefined
        ? tf.layers.maxPooling2d({ name, poolSize: spec.size, strides: spec.stride, padding: 'valid' })
        : paddedMaxPooling(tf, spec, output)
    case 'averagePooling':
      return tf.layers.averagePooling2d({ name, poolSize: spec.size, strides: spec.stride, padding: spec.padding })
    case 'activation':
      return activationLayer(tf, spec)
    case 'concatenate':
      return tf.layers.concatenate({ name, axis: -1 })
    case 'localResponseNormalization':
      return localResponseNormalization(tf, spec)
    case 'add':
      return addLayer(tf, spec)
    case 'scale':
      return scaleLayer(tf, spec)
    case 'flatten':
      return tf.layers.flatten({ name })
    case 'globalAveragePooling':
      return tf.layers.globalAveragePooling2d({ name })
    case 'dense':
      return tf.layers.dense({
        ...{ name, units: spec.units, activation: spec.activation, useBias: spec.useBias !== false },
        ...{ kernelInitializer: nativeZeros(tf), biasInitializer: nativeZeros(tf) },
      })
    case 'dropout':
    case 'batchNormalization':
      invariant(false, 'layers that the engine talks to are made apart')
  }
}
