import type { DisturbedRun } from './disturbed-run.js'
import type { Moment } from './moment.js'

/**
 * How long the undisturbed training is: long enough for the fault to strike, be noticed and be over. Where a worker by hand has to start
 * meanwhile, a short one may be over before it is there.
 */
export type RunLength = 'short' | 'long'

/** One row of the failure contract (docs/operations.md): what is done to a real run, and what must come of it. */
export interface Fault {
  readonly name: string
  /** Also in the short form, inside `npm test`. */
  readonly quick: boolean
  readonly length: RunLength
  /** Starts the run, and whoever else takes part; default: a coordinator with two local workers. */
  readonly start?: (run: DisturbedRun) => Promise<void>
  /**
   * Does it. Comes back when the run, or the one that goes on from it, needs no more help to reach its end.
   * @returns what was seen, for the table; may be empty
   */
  readonly disturb: (run: DisturbedRun, moment: Moment) => Promise<string>
  /** What else must be true at the end, besides equal digests. @throws AssertionError */
  readonly expected: (run: DisturbedRun) => void | Promise<void>
  /** Why this machine cannot show it, if so. */
  readonly unavailable?: () => Promise<string | undefined>
}
