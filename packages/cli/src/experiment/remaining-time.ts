/** How long an experiment still takes. Pure. */

/** A training's size in multiply-adds, and what it took, in seconds. */
export interface TimedWork {
  readonly work: number
  readonly seconds: number
}

/**
 * Seconds for the work that is left, at the pace of what is done: seconds = start + pace · work, both found by least squares, the
 * start never below 0; with too few different sizes the plain proportion.
 * @returns NaN while nothing is done
 */
export function secondsLeft(done: readonly TimedWork[], left: readonly number[]): number {
  if (done.length === 0) return Number.NaN
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const [work, seconds] = [mean(done.map((one) => one.work)), mean(done.map((one) => one.seconds))]
  const covariance = done.reduce((sum, one) => sum + (one.work - work) * (one.seconds - seconds), 0)
  const variance = done.reduce((sum, one) => sum + (one.work - work) ** 2, 0)
  const slope = variance > 0 ? covariance / variance : Number.NaN
  const start = seconds - slope * work
  const fits = slope >= 0 && start >= 0
  return left.reduce((sum, one) => sum + (fits ? start + slope * one : (seconds / work) * one), 0)
}
