/**
 * The weighted mean of soft-max outputs, float64, added in the order of the calls. Soft-max outputs come as their logarithms, which keep
 * what a probability below 10⁻³⁸ would lose in float32.
 */
export class SoftMaxAverage {
  /** [samples, classes]: the mean, once everything was added. */
  readonly probabilities: Float64Array

  constructor(
    readonly samples: number,
    readonly classes: number,
  ) {
    this.probabilities = new Float64Array(samples * classes)
  }

  /**
   * Adds weight · exp(values) to the samples from `first` on.
   * @param logSoftmax [count, classes]; what stands behind the last sample is padding
   */
  add(logSoftmax: Float32Array, weight: number, first = 0): void {
    const { probabilities, classes } = this
    const from = first * classes
    const floats = Math.min(logSoftmax.length, probabilities.length - from)
    for (let at = 0; at < floats; at++) {
      probabilities[from + at] = (probabilities[from + at] ?? 0) + weight * Math.exp(logSoftmax[at] ?? Number.NaN)
    }
  }

  /** Adds weight · the probabilities of another mean of the same samples and classes, or of those from `first` on. */
  addAverage(other: SoftMaxAverage, weight: number, first = 0): void {
    const from = first * this.classes
    for (const [at, probability] of other.probabilities.entries()) {
      this.probabilities[from + at] = (this.probabilities[from + at] ?? 0) + weight * probability
    }
  }

  /** [samples, classes]: the more probable a class, the greater. */
  get ranked(): Float64Array {
    return this.probabilities
  }

  /** Cross entropy of every sample, −ln of the true class's probability. A probability of 0 counts as the smallest number there is. */
  losses(labels: Int32Array): Float64Array {
    return Float64Array.from({ length: this.samples }, (_, sample) => {
      const probability = this.probabilities[sample * this.classes + (labels[sample] ?? -1)] ?? Number.NaN
      return -Math.log(Math.max(probability, Number.MIN_VALUE))
    })
  }
}
