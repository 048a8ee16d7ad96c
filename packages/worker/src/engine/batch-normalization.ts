import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { BatchNormalizationSpec } from '@lockstep/shared/models/network.js'
import { NHWC } from './convolution.js'
import { runNative, runNativeOutputs, type NativeAttribute, type TensorFlow } from './load-tensorflow.js'

/** Mean [channels] and variance [channels] of a micro-batch over samples and pixels; the variance is the unbiased one. */
export interface BatchMoments {
  readonly mean: Tensor
  readonly variance: Tensor
}

/** The parameters and batch statistics of a normalization, [channels] each. */
export interface NormalizationWeights {
  readonly gamma: Tensor
  readonly beta: Tensor
  readonly movingMean: Tensor
  readonly movingVariance: Tensor
}

/**
 * Batch normalization (Ioffe & Szegedy 2015) and its ReLU as one step of the gradient tape, in TensorFlow's own fused kernels: written in
 * tfjs' operations it takes six times as long forward. Kept are input and, with a ReLU, output.
 */
export class BatchNormalization {
  readonly #tf: TensorFlow
  readonly #spec: BatchNormalizationSpec
  readonly #attributes: Readonly<Record<string, NativeAttribute>>

  constructor(tf: TensorFlow, spec: BatchNormalizationSpec) {
    this.#tf = tf
    this.#spec = spec
    this.#attributes = { U: 'float32', epsilon: { float: spec.epsilon }, ...NHWC }
  }

  /**
   * With the micro-batch's own mean and variance.
   * @param input [batch, h, w, channels]; @param onMoments is given them, to be disposed of by whoever takes them
   */
  train(input: Tensor, { gamma, beta }: NormalizationWeights, onMoments: (moments: BatchMoments) => void): Tensor {
    const tf = this.#tf
    const forward = (): Normalized => this.#forward(input, gamma, beta)
    const operation = tf.customGrad((...values) => {
      const save = values.at(-1)
      invariant(typeof save === 'function', 'tfjs hands a function to keep tensors')
      const { output, moments, reserved } = forward()
      onMoments(moments)
      save([input, gamma, ...reserved, ...(this.#spec.activation === 'relu' ? [output] : [])])
      return { value: output, gradFunc: (gradient, saved) => this.#backward(gradient, saved) }
    })
    return operation(input, gamma, beta)
  }

  /** With the moving mean and variance. */
  infer(input: Tensor, { gamma, beta, movingMean, movingVariance }: NormalizationWeights): Tensor {
    const tf = this.#tf
    return tf.tidy(() => {
      const attributes = { ...this.#attributes, is_training: false }
      const [linear] = runNativeOutputs(tf, 'FusedBatchNormV3', [input, gamma, beta, movingMean, movingVariance], attributes, OUTPUTS)
      invariant(linear !== undefined, 'FusedBatchNormV3 has an output')
      return this.#spec.activation === 'relu' ? tf.relu(linear) : linear
    })
  }

  #forward(input: Tensor, gamma: Tensor, beta: Tensor): Normalized {
    const tf = this.#tf
    const attributes = { ...this.#attributes, is_training: true }
    // The operation could keep moving averages itself; it is given none, since they are state of the whole step.
    const none = tf.zeros([0])
    const outputs = runNativeOutputs(tf, 'FusedBatchNormV3', [input, gamma, beta, none, none], attributes, OUTPUTS)
    none.dispose()
    const [linear, mean, variance, ...reserved] = outputs
    invariant(linear !== undefined && mean !== undefined && variance !== undefined, 'FusedBatchNormV3 has its outputs')
    const output = this.#spec.activation === 'relu' ? tf.relu(linear) : linear
    if (output !== linear) linear.dispose()
    return { output, moments: { mean: tf.keep(mean), variance: tf.keep(variance) }, reserved }
  }

  /** Gradients of input, gamma and beta. */
  #backward(gradient: Tensor, [input, gamma, ...rest]: Tensor[]): Tensor[] {
    const tf = this.#tf
    const [reserved, output] = [rest.slice(0, RESERVED), rest[RESERVED]]
    invariant(input !== undefined && gamma !== undefined && reserved.length === RESERVED, 'tfjs kept what was saved')
    return tf.tidy(() => {
      const linear = output === undefined ? gradient : runNative(tf, 'ReluGrad', [gradient, output])
      const attributes = { ...this.#attributes, is_training: true }
      const gradients = runNativeOutputs(tf, 'FusedBatchNormGradV3', [linear, input, gamma, ...reserved], attributes, GRADIENTS)
      // tfjs would keep it to the end of the backward pass, though nothing else reads it.
      gradient.dispose()
      return gradients.slice(0, 3)
    })
  }
}

/** What the forward pass leaves. */
interface Normalized {
  readonly output: Tensor
  readonly moments: BatchMoments
  /** What TensorFlow wants back in the backward pass. */
  readonly reserved: Tensor[]
}

/** y, mean, variance, three for the backward pass. */
const OUTPUTS = 6
const RESERVED = 3
/** Of x, scale, offset, and two that are empty. */
const GRADIENTS = 5
