/** Whether two kinds of networks can be told apart by their errors. Pure. */

export interface Comparison {
  /** Means of the errors, shares 0–1. */
  readonly left: number
  readonly right: number
  /** left − right; negative: the left one errs less. */
  readonly difference: number
  /** The difference that has to be exceeded: see {@link compareErrors}. */
  readonly margin: number
  readonly better: 'left' | 'right' | 'neither'
}

/** Standard errors of a difference between two shares that mere luck with the pictures rarely exceeds. */
const SAMPLING_ERRORS = 2

/**
 * Compares the top-1 errors of two groups of trainings that differ in their seeds. The margin is the largest of both groups' ranges
 * over the seeds and of twice the standard error √(p(1−p)/n + q(1−q)/n) that n validation pictures leave; a smaller difference is
 * not told apart. (The pictures are the same on both sides, so that the last is on the careful side.)
 * @param left errors, one a seed
 */
export function compareErrors(left: readonly number[], right: readonly number[], pictures: number): Comparison {
  const [p, q] = [mean(left), mean(right)]
  const sampling = SAMPLING_ERRORS * Math.sqrt((p * (1 - p) + q * (1 - q)) / pictures)
  const margin = Math.max(range(left), range(right), sampling)
  const difference = p - q
  return { left: p, right: q, difference, margin, better: Math.abs(difference) <= margin ? 'neither' : difference < 0 ? 'left' : 'right' }
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function range(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values)
}
