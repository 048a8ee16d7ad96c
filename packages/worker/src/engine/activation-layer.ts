import type { layers, serialization, Tensor } from '@tensorflow/tfjs-node-gpu'
import type { ActivationSpec } from '@lockstep/shared/models/graph.js'
import { single, type LayerShape } from './layer-input.js'
import type { TensorFlow } from './load-tensorflow.js'

/** Keras' slope of a leaky ReLU, where nothing is said. */
export const LEAKY_SLOPE = 0.3

/** A function applied to every value, where it is not part of the layer before. */
export function activationLayer(tf: TensorFlow, spec: ActivationSpec): layers.Layer {
  const apply = functionOf(tf, spec)

  class ActivationLayer extends tf.layers.Layer {
    static className = 'AppliedActivation'

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return inputShape
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      return tf.tidy(() => apply(single(inputs)))
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), activation: spec.function }
    }
  }

  return new ActivationLayer({ name: spec.name })
}

function functionOf(tf: TensorFlow, { function: name, slope = LEAKY_SLOPE }: ActivationSpec): (values: Tensor) => Tensor {
  switch (name) {
    case 'relu':
      return (values) => tf.relu(values)
    case 'relu6':
      return (values) => tf.relu6(values)
    case 'leakyRelu':
      return (values) => tf.leakyRelu(values, slope)
    case 'sigmoid':
      return (values) => tf.sigmoid(values)
    case 'tanh':
      return (values) => tf.tanh(values)
    case 'elu':
      return (values) => tf.elu(values)
    case 'selu':
      return (values) => tf.selu(values)
    case 'softplus':
      return (values) => tf.softplus(values)
    case 'softsign':
      return (values) => tf.div(values, tf.add(tf.abs(values), 1))
    case 'swish':
      return (values) => tf.mul(values, tf.sigmoid(values))
  }
}
