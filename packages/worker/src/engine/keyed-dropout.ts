import type { layers, serialization, Tensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { LayerSpec } from '@lockstep/shared/models/network.js'
import { single, type LayerShape } from './layer-input.js'
import type { TensorFlow } from './load-tensorflow.js'

/** Dropout whose mask the engine hands in; tf.layers' own repeats its mask for a given seed. */
export interface KeyedDropout extends layers.Layer {
  /** Shape of one sample's output, once the model is built. */
  readonly sampleShape: readonly number[]
  readonly rate: number
  /** [count, …sampleShape]; read while training only. */
  mask: Tensor | undefined
}

export function keyedDropout(tf: TensorFlow, spec: Extract<LayerSpec, { type: 'dropout' }>): KeyedDropout {
  class KeyedDropoutLayer extends tf.layers.Layer implements KeyedDropout {
    static className = 'KeyedDropout'
    readonly rate = spec.rate
    sampleShape: readonly number[] = []
    mask: Tensor | undefined

    override build(inputShape: LayerShape): void {
      this.sampleShape = (inputShape as (number | null)[]).slice(1).map((size) => size ?? 1)
      super.build(inputShape)
    }

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return inputShape
    }

    override call(inputs: Tensor | Tensor[], kwargs: Parameters<layers.Layer['call']>[1]): Tensor {
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

  return new KeyedDropoutLayer({ name: spec.name })
}
