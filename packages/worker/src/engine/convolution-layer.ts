import type { layers, LayerVariable, serialization, Tensor, Tensor4D } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { ConvolutionSpec } from '@lockstep/shared/models/network.js'
import { Convolution } from './convolution.js'
import { single, type LayerShape } from './layer-input.js'
import type { TensorFlow } from './load-tensorflow.js'
import { nativeZeros } from './weight-writer.js'

/**
 * The tf.layers layer around {@link Convolution}; its parameters are those of tf.layers' own, `kernel` and `bias`.
 * @param outputShape [h, w, filters], as the network's shapes have it; @param onPicture whether its input is the picture itself
 */
export function convolutionLayer(tf: TensorFlow, spec: ConvolutionSpec, outputShape: readonly number[], onPicture: boolean): layers.Layer {
  const { kernel: size, filters, stride, padding, activation, groups = 1, useBias = true } = spec
  const convolution = new Convolution(tf, spec)

  class ConvolutionLayer extends tf.layers.Layer {
    static className = 'Convolution'
    #kernel: LayerVariable | undefined
    #bias: LayerVariable | undefined

    override build(inputShape: LayerShape): void {
      const channels = (inputShape as number[]).at(-1)
      invariant(typeof channels === 'number', 'a convolution knows its input channels')
      this.#kernel = this.addWeight('kernel', [size, size, channels / groups, filters], 'float32', nativeZeros(tf))
      if (useBias) this.#bias = this.addWeight('bias', [filters], 'float32', nativeZeros(tf))
      super.build(inputShape)
    }

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return [(inputShape as (number | null)[])[0] ?? null, ...outputShape]
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const kernel = this.#kernel?.read()
      invariant(kernel !== undefined, `${this.name} was built`)
      return convolution.apply(single(inputs) as Tensor4D, kernel as Tensor4D, this.#bias?.read(), !onPicture)
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), filters, kernelSize: size, strides: stride, padding, activation, groups, useBias }
    }
  }

  return new ConvolutionLayer({ name: spec.name })
}
