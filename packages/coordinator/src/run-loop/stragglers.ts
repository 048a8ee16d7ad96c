import type { RunState, WorkerState } from './run-state.js'

/** A worker is a straggler when a leaf takes it so many times as long as the median of the others … */
const FACTOR = 3
/** … in so many turns in a row: spans of its own, or steps in which it was too slow to be given any. It gets smaller spans long before. */
const TURNS = 4
/** It is one no longer when it is back below this: between the two nothing is said, so that nobody is told twice. */
const RECOVERED_FACTOR = 2

/** What a person is told of a straggler. */
export interface Straggler {
  readonly worker: string
  /** Seconds of a leaf: its own, and the median of the others'. */
  readonly leafSeconds: number
  readonly othersSeconds: number
}

/**
 * Looks at a worker after one of its spans was measured, or a step passed in which it was given none. Mutates `state`, a fresh copy.
 * @returns the straggler once an episode, else null
 */
export function stragglerAfterTurn(state: RunState, worker: WorkerState): Straggler | null {
  const others = Object.values(state.workers).filter((other) => other !== worker)
  const othersSeconds = median(others.map(({ leafSeconds }) => leafSeconds))
  const { leafSeconds } = worker
  if (othersSeconds === null || leafSeconds < RECOVERED_FACTOR * othersSeconds) {
    worker.slowTurns = 0
    return null
  }
  if (leafSeconds < FACTOR * othersSeconds) return null
  worker.slowTurns += 1
  return worker.slowTurns === TURNS ? { worker: worker.worker, leafSeconds, othersSeconds } : null
}

/** The middle value, the lower of the two middle ones: with two workers it is the other's. */
function median(values: readonly number[]): number | null {
  return [...values].sort((left, right) => left - right)[Math.floor((values.length - 1) / 2)] ?? null
}
