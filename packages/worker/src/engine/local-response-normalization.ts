import type { layers, serialization, Tensor, Tensor4D } from '@tensorflow/tfjs-node-gpu'
import type { LayerSpec } from '@lockstep/shared/models/network.js'
import { single, type LayerShape } from './layer-input.js'
import type { TensorFlow } from './load-tensorflow.js'

/** Local response normalization (Krizhevsky 2012, section 3.3), which tf.layers lacks. */
export function localResponseNormalization(tf: TensorFlow, spec: Extract<LayerSpec, { type: 'localResponseNormalization' }>): layers.Layer {
  const { depthRadius, bias, alpha, beta } = spec

  class LocalResponseNormalizationLayer extends tf.layers.Layer {
    static className = 'LocalResponseNormalization'

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return inputShape
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      return tf.localResponseNormalization(single(inputs) as Tensor4D, depthRadius, bias, alpha, beta)
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), depthRadius, bias, alpha, beta }
    }
  }

  return new LocalResponseNormalizationLayer({ name: spec.name })
}
