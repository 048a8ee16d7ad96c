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
