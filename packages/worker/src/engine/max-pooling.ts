import type { layers, serialization, Tensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { MaxPoolingSpec } from '@lockstep/shared/models/network.js'
import { NHWC, paddingAttributes } from './convolution.js'
import { single, type LayerShape } from './layer-input.js'
import { runNative, type NativeAttribute, type TensorFlow } from './load-tensorflow.js'

/**
 * Max pooling with pixels around the picture that are never the largest: as many on either side, or TensorFlow's `same`, which puts the odd
 * one at the end. tf.layers' own knows only that.
 * @param outputShape [h, w, channels], as the network's shapes have it
 */
export function paddedMaxPooling(tf: TensorFlow, spec: MaxPoolingSpec, outputShape: readonly number[]): layers.Layer {
  const { size, stride, padding = 0 } = spec
  const attributes: Record<string, NativeAttribute> = {
    ...{ ksize: { integers: [1, size, size, 1] }, strides: { integers: [1, stride, stride, 1] } },
    ...paddingAttributes(padding),
    ...NHWC,
  }

  class PaddedMaxPooling extends tf.layers.Layer {
    static className = 'PaddedMaxPooling'

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return [(inputShape as (number | null)[])[0] ?? null, ...outputShape]
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const input = single(inputs)
      const operation = tf.customGrad((...values) => {
        const save = values.at(-1)
        invariant(typeof save === 'function', 'tfjs hands a function to keep tensors')
        const output = runNative(tf, 'MaxPool', [input], attributes)
        save([input, output])
        return {
          value: output,
          gradFunc: (gradient, [savedInput, savedOutput]) => {
            invariant(savedInput !== undefined && savedOutput !== undefined, 'tfjs kept what was saved')
            return runNative(tf, 'MaxPoolGrad', [savedInput, savedOutput, gradient], attributes)
          },
        }
      })
      return operation(input)
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), poolSize: size, strides: stride, padding }
    }
  }

  return new PaddedMaxPooling({ name: spec.name })
}
