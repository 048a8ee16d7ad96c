/** Middle of the sorted values, the mean of the two middle ones where their number is even. NaN for none. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Linear interpolation between the sorted values, as NumPy's default has it. NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  const place = (sorted.length - 1) * share
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}

export interface Summary {
  readonly median: number
  /** First and third quartile. */
  readonly spread: readonly [lower: number, upper: number]
  readonly samples: number
}

export function summaryOf(values: readonly number[]): Summary {
  return { median: median(values), spread: [quantile(values, 0.25), quantile(values, 0.75)], samples: values.length }
}

/** Mean of several measurements, and where the true one lies with 95 % confidence; null where there is only one. */
export interface Interval {
  readonly mean: number
  readonly range: readonly [lower: number, upper: number] | null
  readonly samples: number
}

/** Two-sided 95 % points of Student's t for 1, 2, … degrees of freedom; beyond, the last is a little too careful. */
const T95 = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228],
  ...[2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086],
]

/**
 * The geometric mean of positive measurements and its t-interval, both taken on logarithms: rates and ratios scatter by factors, and
 * no bound falls below zero. NaN for none.
 */
export function intervalOf(values: readonly number[]): Interval {
  const logarithms = values.map(Math.log)
  const samples = values.length
  const middle = logarithms.reduce((sum, value) => sum + value, 0) / samples
  if (samples < 2) return { mean: Math.exp(middle), range: null, samples }
  const variance = logarithms.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (samples - 1)
  const half = (T95[samples - 2] ?? T95.at(-1) ?? Number.NaN) * Math.sqrt(variance / samples)
  return { mean: Math.exp(middle), range: [Math.exp(middle - half), Math.exp(middle + half)], samples }
}
