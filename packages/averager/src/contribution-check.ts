import { isNode } from '@lockstep/shared/reduction/tree.js'
import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'

/** What the averager says to a contribution. */
export type Outcome = 'ACCEPTED' | 'DUPLICATE' | 'OTHER_RUN' | 'OTHER_TERM' | 'PAST_STEP' | 'FUTURE_STEP' | 'MALFORMED' | 'QUARANTINED'

/** In a fixed order: the position is the index of the counter. */
export const OUTCOMES: readonly Outcome[] = [
  ...(['ACCEPTED', 'DUPLICATE', 'OTHER_RUN', 'OTHER_TERM', 'PAST_STEP', 'FUTURE_STEP', 'MALFORMED'] as const),
  'QUARANTINED',
]

/** Where a slice stands, as far as contributions are concerned. */
export interface Expectation {
  readonly run: string
  readonly term: number
  /** M. */
  readonly leaves: number
  /** Newest committed version: the step that runs, or runs next. */
  readonly committed: number
  /** Whether that step has begun. */
  readonly running: boolean
  readonly chunks: number
  /** Whether chunk 0 brings the statistics: true on slice 0. */
  readonly statistics: boolean
  /** Bytes of a chunk. */
  chunkBytes(chunk: number): number
}

/** The refusal a contribution earns, or undefined if it may be placed. Its floats are not looked at. */
export function refusalOf(
  contribution: Contribution__Output,
  expected: Expectation,
): Exclude<Outcome, 'ACCEPTED' | 'DUPLICATE'> | undefined {
  const { run, term, step, firstLeaf, leafCount, chunk, body, statistics } = contribution
  if (run !== expected.run) return 'OTHER_RUN'
  if (term !== expected.term) return 'OTHER_TERM'
  if (step < expected.committed) return 'PAST_STEP'
  if (step > expected.committed || !expected.running) return 'FUTURE_STEP'
  if (!isNode(expected.leaves, { first: firstLeaf, count: leafCount })) return 'MALFORMED'
  if (chunk >= expected.chunks) return 'MALFORMED'
  if (body.length !== expected.chunkBytes(chunk)) return 'MALFORMED'
  if (expected.statistics && chunk === 0 && statistics === null) return 'MALFORMED'
  return undefined
}
