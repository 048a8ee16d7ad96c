import type { layers, serialization, Tensor, Tensor4D } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { LayerSpec } from '@lockstep/shared/models/network.js'
import type { TensorFlow } from './load-tensorflow.js'

type Layer = layers.Layer
type Kwargs = Parameters<Layer['call']>[1]

/** Dropout whose mask the engine hands in; without it, tf.layers' own would repeat its mask for a given seed. */
export interface KeyedDropout extends Layer {
  /** Shape of one sample's output, once the model is built. */
  readonly sampleShape: readonly number[]
  readonly rate: number
  /** [count, …sampleShape]; read while training only. */
  mask: Tensor | undefined
}

/** The layer classes that tf.layers lacks. They extend tf.layers.Layer, so they can only be had once TensorFlow is loaded. */
export interface CustomLayers {
  dropout(spec: Extract<LayerSpec, { type: 'dropout' }>): KeyedDropout
  localResponseNormalization(spec: Extract<LayerSpec, { type: 'localResponseNormalization' }>): Layer
}

function single(inputs: Tensor | Tensor[]): Tensor {
  const [input] = Array.isArray(inputs) ? inputs : [inputs]
  invariant(input !== undefined, 'a layer is called with one tensor')
  return input
}

export function customLayers(tf: TensorFlow): CustomLayers {
  class KeyedDropoutLayer extends tf.layers.Layer implements KeyedDropout {
    static className = 'KeyedDropout'
    readonly rate: number
    mask: Tensor | undefined
    sampleShape: readonly number[] = []

    constructor(spec: Extract<LayerSpec, { type: 'dropout' }>) {
      super({ name: spec.name })
      this.rate = spec.rate
    }

    override build(inputShape: Parameters<Layer['build']>[0]): void {
      this.sampleShape = (inputShape as (number | null)[]).slice(1).map((size) => size ?? 1)
      super.build(inputShape)
    }

    override computeOutputShape(inputShape: Parameters<Layer['computeOutputShape']>[0]) {
      return inputShape
    }

    override call(inputs: Tensor | Tensor[], kwargs: Kwargs): Tensor {
      const input = single(inputs)
      if (kwargs.training !== true) return input
      const mask = this.mask
      invariant(mask !== undefined, `the mask of ${this.name} was set before training`)
      return tf.mul(input, mask)
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), rate: this.rate }
    }
  }

  class LocalResponseNormalizationLayer extends tf.layers.Layer {
    static className = 'LocalResponseNormalization'
    readonly #spec: Extract<LayerSpec, { type: 'localResponseNormalization' }>

    constructor(spec: Extract<LayerSpec, { type: 'localResponseNormalization' }>) {
      super({ name: spec.name })
      this.#spec = spec
    }

    override computeOutputShape(inputShape: Parameters<Layer['computeOutputShape']>[0]) {
      return inputShape
    }

    override call(inputs: Tensor | Tensor[]): Tensor {
      const { depthRadius, bias, alpha, beta } = this.#spec
      return tf.localResponseNormalization(single(inputs) as Tensor4D, depthRadius, bias, alpha, beta)
    }

    override getConfig(): serialization.ConfigDict {
      const { depthRadius, bias, alpha, beta } = this.#spec
      return { ...super.getConfig(), depthRadius, bias, alpha, beta }
    }
  }

  return {
    dropout: (spec) => new KeyedDropoutLayer(spec),
    localResponseNormalization: (spec) => new LocalResponseNormalizationLayer(spec),
  }
}
