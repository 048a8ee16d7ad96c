import { nearness } from '../engine/regression.js'

/** The weighted mean of the values that a regression says, float64, added in the order of the calls; see SoftMaxAverage. */
export class ValueAverage {
  /** [samples]: the mean, once everything was added. */
  readonly values: Float64Array
  /** @param targets the value of every class */
  constructor(
    readonly samples: number,
    readonly targets: readonly number[],
  ) {
    this.values = new Float64Array(samples)
  }

  /** Adds weight · values to the samples from `first` on. @param values [count]; what stands behind the last sample is padding */
  add(values: Float32Array | Float64Array, weight: number, first = 0): void {
    const count = Math.min(values.length, this.samples - first)
    for (let at = 0; at < count; at++) this.values[first + at] = (this.values[first + at] ?? 0) + weight * (values[at] ?? Number.NaN)
  }

  /** Adds weight · another mean to the samples from `first` on. */
  addAverage(other: ValueAverage, weight: number, first = 0): void {
    this.add(other.values, weight, first)
  }

  /** [samples, classes]: the nearer a class, the greater. */
  get ranked(): Float64Array {
    return nearness(this.values, this.targets)
  }

  /** The squared error of every sample. */
  losses(labels: Int32Array): Float64Array {
    return this.values.map((value, sample) => (value - (this.targets[labels[sample] ?? -1] ?? Number.NaN)) ** 2)
  }
}
