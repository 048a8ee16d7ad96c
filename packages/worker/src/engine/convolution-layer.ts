import type { layers, LayerVariable, serialization, Tensor, Tensor4D } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { Convolution, type ConvolutionSpec } from './convolution.js'
import { single, type LayerShape } from './layer-input.js'
import type { TensorFlow } from './load-tensorflow.js'
import { nativeZeros } from './weight-writer.js'

/**
 * The tf.layers layer around {@link Convolution}; its parameters are those of tf.layers' own, `kernel` and `bias`.
 * @param first whether its input is the picture itself
 */
export function convolutionLayer(tf: TensorFlow, spec: ConvolutionSpec, first: boolean): layers.Layer {
  const { kernel: size, filters, stride, padding, activation } = spec
  const convolution = new Convolution(tf, spec)

  class ConvolutionLayer extends tf.layers.Layer {
    static className = 'Convolution'
    #kernel: LayerVariable | undefined
    #bias: LayerVariable | undefined

    override build(inputShape: LayerShape): void {
      const channels = (inputShape as number[]).at(-1)
      invariant(typeof channels === 'number', 'a convolution knows its input channels')
      this.#kernel = this.addWeight('kernel', [size, size, channels, filters], 'float32', nativeZeros(tf))
      this.#bias = this.addWeight('bias', [filters], 'float32', nativeZeros(tf))
      super.build(inputShape)
    }

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      const [batch, height, width] = inputShape as [number | null, number, number]
      const along = (length: number): number => (padding === 'same' ? Math.ceil(length / stride) : Math.floor((length - size) / stride) + 1)
      return [batch, along(height), along(width), filters]
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const [kernel, bias] = [this.#kernel?.read(), this.#bias?.read()]
      invariant(kernel !== undefined && bias !== undefined, `${this.name} was built`)
      return convolution.apply(single(inputs) as Tensor4D, kernel as Tensor4D, bias, !first)
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), filters, kernelSize: size, strides: stride, padding, activation }
    }
  }

  return new ConvolutionLayer({ name: spec.name })
}
