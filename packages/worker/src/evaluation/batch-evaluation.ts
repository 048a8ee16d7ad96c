import type { EvaluationBatch, EvaluationInput } from '@lockstep/data/evaluation-batch.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { resultOf, type BatchResult, type OnSample } from '../engine/batch.js'
import { SoftMaxAverage } from './soft-max-average.js'
import { ValueAverage } from './value-average.js'

/** A network with its weights, here or in another thread. What it is given may be handed over for good. */
export interface Forward {
  readonly classes: number
  /** Of a regression: the value of every class. */
  readonly targets?: readonly number[] | undefined
  /** Loss and accuracy of one full batch; see Engine.evaluate. */
  evaluate(images: Float32Array, labels: Int32Array, samples: number, onSample?: OnSample): BatchResult | Promise<BatchResult>
  /** Logarithm of the soft-max, [count, classes], or the values of a regression, [count], of crops or of one whole picture. */
  logSoftmax(input: Pick<EvaluationInput, 'images' | 'shape' | 'kind'>): Float32Array | Promise<Float32Array>
}

export interface EvaluationOptions {
  /** Told of every sample, when all of them are done. */
  readonly onSample?: OnSample | undefined
  /** Told after every forward pass how many of the batch are done. */
  readonly onForward?: ((done: number) => void) | undefined
  /** Looked at before every forward pass. @throws its reason */
  readonly signal?: AbortSignal | undefined
}

/**
 * Evaluates a batch: the one function that a run's workers and `lockstep evaluate` share. One look is computed by TensorFlow to the end;
 * of several, soft-max outputs are averaged in the fixed order of the batch's inputs, in float64.
 */
export async function evaluateBatch(forward: Forward, batch: EvaluationBatch, options: EvaluationOptions = {}): Promise<BatchResult> {
  const { labels, samples, plain } = batch
  const { onSample, onForward, signal } = options
  if (!plain) {
    const average = await averageOf(forward, batch, options)
    return resultOf(average.ranked, average.losses(labels), labels, samples, forward.classes, onSample)
  }
  for (const { images } of batch.inputs()) {
    signal?.throwIfAborted()
    const result = await forward.evaluate(images, labels, samples, onSample)
    onForward?.(1)
    return result
  }
  return { lossSum: 0, samples: 0, correctTop1: 0, correctTop5: 0 }
}

export type OutputAverage = SoftMaxAverage | ValueAverage

/** An average of nothing yet. */
export function outputAverage(samples: number, { classes, targets }: Pick<Forward, 'classes' | 'targets'>): OutputAverage {
  return targets === undefined ? new SoftMaxAverage(samples, classes) : new ValueAverage(samples, targets)
}

/** Adds an average of the same kind. */
export function addAverage(sum: OutputAverage, part: OutputAverage, weight: number, first: number): void {
  if (sum instanceof SoftMaxAverage && part instanceof SoftMaxAverage) sum.addAverage(part, weight, first)
  else if (sum instanceof ValueAverage && part instanceof ValueAverage) sum.addAverage(part, weight, first)
  else invariant(false, 'checkpoints that are averaged have one task')
}

/** The averaged outputs of a batch: what predictions are, and what several networks are fused by. */
export async function averageOf(
  forward: Forward,
  batch: EvaluationBatch,
  { onForward, signal }: Omit<EvaluationOptions, 'onSample'> = {},
): Promise<OutputAverage> {
  const average = outputAverage(batch.samples, forward)
  let done = 0
  for (const input of batch.inputs()) {
    signal?.throwIfAborted()
    average.add(await forward.logSoftmax(input), input.weight, input.kind === 'dense' ? input.sample : 0)
    onForward?.(++done)
  }
  return average
}
