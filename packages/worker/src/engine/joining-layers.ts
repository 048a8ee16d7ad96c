import type { layers, serialization, Tensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { AddSpec, ScaleSpec } from '@lockstep/shared/models/network.js'
import { pair, type LayerShape } from './layer-input.js'
import { runNative, type TensorFlow } from './load-tensorflow.js'

/** Layers in which two paths of a network meet. */

/** The sum of two tensors and its ReLU as one step of the gradient tape: of them only the output is kept. */
export function addLayer(tf: TensorFlow, spec: AddSpec): layers.Layer {
  const isRelu = spec.activation === 'relu'

  class AddLayer extends tf.layers.Layer {
    static className = 'ActivatedAdd'

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return (inputShape as (number | null)[][])[0] ?? []
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const [left, right] = pair(inputs)
      const operation = tf.customGrad((...values) => {
        const save = values.at(-1)
        invariant(typeof save === 'function', 'tfjs hands a function to keep tensors')
        const output = tf.tidy(() => (isRelu ? tf.relu(tf.add(left, right)) : tf.add(left, right)))
        save(isRelu ? [output] : [])
        return { value: output, gradFunc: (gradient, [saved]) => backward(gradient, saved) }
      })
      return operation(left, right)
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), activation: spec.activation }
    }
  }

  /** One gradient for both. Two handles, since each path gives back its own when it has been used. */
  function backward(gradient: Tensor, output: Tensor | undefined): Tensor[] {
    const linear = output === undefined ? tf.clone(gradient) : runNative(tf, 'ReluGrad', [gradient, output])
    gradient.dispose()
    return [linear, tf.clone(linear)]
  }

  return new AddLayer({ name: spec.name })
}

/** Maps [batch, h, w, c] times a gate [batch, c]. */
export function scaleLayer(tf: TensorFlow, spec: ScaleSpec): layers.Layer {
  class ScaleLayer extends tf.layers.Layer {
    static className = 'Scale'

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return (inputShape as (number | null)[][])[0] ?? []
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const [maps, gate] = pair(inputs)
      const [batch = 1, channels = 1] = gate.shape
      return tf.tidy(() => tf.mul(maps, tf.reshape(gate, [batch, 1, 1, channels])))
    }
  }

  return new ScaleLayer({ name: spec.name })
}
