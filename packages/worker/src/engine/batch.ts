/** A micro-batch of training samples, decoded and augmented. */
export interface Batch {
  /** [count, height, width, 3], network input values; where `features` is true what a frozen base has made of them, [count, …]. */
  readonly images: Float32Array
  readonly features?: boolean
  /** [count], class numbers. */
  readonly labels: Int32Array
  readonly count: number
  /** Stream position of sample 0; sample i is at firstPosition + i. */
  readonly firstPosition: number
}

/** Sums over the samples of a batch. */
export interface BatchResult {
  /** Soft-max cross entropy, or squared error, added up in float64 in sample order, not divided by anything. */
  lossSum: number
  samples: number
  correctTop1: number
  correctTop5: number
  /**
   * Only where the loss is not finite: 1 + the index in Network.layers of the first layer, forward, whose output is not; one more
   * than there are layers when all outputs are finite and the loss alone is not.
   */
  nonFiniteLayer?: number
}

/**
 * Told of every sample: how many classes are ahead of the true one (0: top-1 is right), the class that is ahead of all others (-1:
 * none is a number), and its loss.
 */
export type OnSample = (sample: number, rank: number, predicted: number, loss: number) => void

/**
 * Adds up losses and counts correct answers, in sample order. A class is ahead of the true one if its logit is greater, or
 * equal with a lower index; so the answer is one for any logits. A logit that is no number is never correct.
 * @param logits [samples or more, classes]; or anything that grows with them, like probabilities
 * @param losses [samples or more]
 */
export function resultOf(
  logits: Float32Array | Float64Array,
  losses: Float32Array | Float64Array,
  labels: Int32Array,
  samples: number,
  classes: number,
  onSample?: OnSample,
): BatchResult {
  const result: BatchResult = { lossSum: 0, samples, correctTop1: 0, correctTop5: 0 }
  for (let sample = 0; sample < samples; sample++) {
    result.lossSum += losses[sample] ?? Number.NaN
    const ofSample = logits.subarray(sample * classes, (sample + 1) * classes)
    const rank = rankOf(ofSample, labels[sample] ?? -1)
    if (onSample !== undefined) onSample(sample, rank, greatestOf(ofSample), losses[sample] ?? Number.NaN)
    if (rank < 1) result.correctTop1++
    if (rank < Math.min(5, classes)) result.correctTop5++
  }
  return result
}

/** How many classes are ahead of `label`; all of them when its logit is not a number. */
function rankOf(logits: Float32Array | Float64Array, label: number): number {
  const own = logits[label] ?? Number.NaN
  if (Number.isNaN(own)) return logits.length
  let ahead = 0
  for (const [index, logit] of logits.entries()) if (logit > own || (logit === own && index < label)) ahead++
  return ahead
}

/** Index of the greatest number, the lowest of equals; -1 when there is none. */
function greatestOf(logits: Float32Array | Float64Array): number {
  let greatest = -1
  for (const [index, logit] of logits.entries()) {
    if (!Number.isNaN(logit) && (greatest < 0 || logit > (logits[greatest] ?? Number.NaN))) greatest = index
  }
  return greatest
}
