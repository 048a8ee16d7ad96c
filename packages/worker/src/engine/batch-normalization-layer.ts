import type { layers, LayerVariable, serialization, Tensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { BatchNormalizationSpec } from '@lockstep/shared/models/network.js'
import { BatchNormalization, type BatchMoments, type NormalizationWeights } from './batch-normalization.js'
import { single, type LayerShape } from './layer-input.js'
import type { TensorFlow } from './load-tensorflow.js'
import { nativeZeros } from './weight-writer.js'

/** A normalization whose moments the engine takes after each forward pass of training; the layer itself keeps no state but its weights. */
export interface BatchNormalizationLayer extends layers.Layer {
  /** m in: moving ← m · moving + (1 − m) · the micro-batch's. */
  readonly momentum: number
  /** The moments of the last forward pass of training, handed over: they are the caller's to dispose of. None where there was none. */
  takeMoments(): BatchMoments | undefined
}

/** Weights in the order of Keras: gamma, beta, moving mean, moving variance. The last two have no gradient. One that is not trained always infers. */
export function batchNormalizationLayer(tf: TensorFlow, spec: BatchNormalizationSpec): BatchNormalizationLayer {
  const normalization = new BatchNormalization(tf, spec)

  class NormalizationLayer extends tf.layers.Layer implements BatchNormalizationLayer {
    static className = 'KeyedBatchNormalization'
    readonly momentum = spec.momentum
    #variables: Record<keyof NormalizationWeights, LayerVariable> | undefined
    #moments: BatchMoments | undefined

    override build(inputShape: LayerShape): void {
      const channels = (inputShape as number[]).at(-1)
      invariant(typeof channels === 'number', 'a normalization knows its channels')
      const weight = (name: string, trainable: boolean): LayerVariable =>
        this.addWeight(name, [channels], 'float32', nativeZeros(tf), undefined, trainable)
      this.#variables = {
        gamma: weight('gamma', true),
        beta: weight('beta', true),
        movingMean: weight('moving_mean', false),
        movingVariance: weight('moving_variance', false),
      }
      super.build(inputShape)
    }

    override computeOutputShape(inputShape: LayerShape): LayerShape {
      return inputShape
    }

    override call(inputs: Tensor | Tensor[], kwargs: Parameters<layers.Layer['call']>[1]): Tensor {
      invariant(this.#variables !== undefined, `${this.name} was built`)
      const { gamma, beta, movingMean, movingVariance } = this.#variables
      const weights = { gamma: gamma.read(), beta: beta.read(), movingMean: movingMean.read(), movingVariance: movingVariance.read() }
      const input = single(inputs)
      const normalized = (maps: Tensor): Tensor =>
        kwargs.training !== true || spec.trainable === false ? normalization.infer(maps, weights) : this.#train(maps, weights)
      if (input.rank !== 2) return normalized(input)
      // Behind a dense layer every unit is a map of one pixel.
      return tf.tidy(() => tf.reshape(normalized(tf.expandDims(tf.expandDims(input, 1), 1)), input.shape))
    }

    #train(input: Tensor, weights: NormalizationWeights): Tensor {
      return normalization.train(input, weights, (moments) => {
        tf.dispose([this.#moments?.mean, this.#moments?.variance].filter((tensor) => tensor !== undefined))
        this.#moments = moments
      })
    }

    takeMoments(): BatchMoments | undefined {
      const moments = this.#moments
      this.#moments = undefined
      return moments
    }

    override getConfig(): serialization.ConfigDict {
      return { ...super.getConfig(), momentum: spec.momentum, epsilon: spec.epsilon, activation: spec.activation }
    }
  }

  return new NormalizationLayer({ name: spec.name })
}
