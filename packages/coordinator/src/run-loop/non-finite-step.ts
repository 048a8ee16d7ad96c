import type { RunEffect } from './run-effect.js'
import type { RunState } from './run-state.js'

/** A step whose loss or weights are not finite: in words, and as the end of a run. */

/** With `nonFinite: skip`: so many steps in a row without an update end the run, for nothing will change any more. */
export const MOST_SKIPS = 10

/** What was not finite, and where it began. */
export function nonFiniteWords(loss: number, step: number, origin: string | undefined): string {
  const what = Number.isFinite(loss) ? 'a weight is' : `the loss is`
  return `${what} no longer finite at step ${String(step)} (loss ${String(loss)})${origin === undefined ? '' : `; it began in ${origin}`}`
}

/**
 * Ends the run, once a checkpoint that is being written is whole: it is the good one that the message names.
 * @param words what {@link nonFiniteWords} says
 */
export function failNonFinite(state: RunState, words: string, effects: RunEffect[]): void {
  if (state.savingVersion !== null) {
    state.phase = 'failing'
    state.failure = words
    // nothing is asked of anybody any more: no deadline runs
    for (const worker of Object.values(state.workers)) worker.leaves = []
    return
  }
  state.phase = 'ended'
  const saved = state.savedVersion < 0 ? 'there is no checkpoint yet' : `the checkpoint of step ${String(state.savedVersion)} is good`
  const skips = state.plan.nonFinite === 'skip' ? `, and this is the ${String(state.skips)}th step in a row` : ''
  const remedy = state.plan.nonFinite === 'skip' ? '' : ', or leave such steps out with nonFinite: skip'
  effects.push({
    type: 'fail',
    code: 'NON_FINITE',
    message: `${words}${skips}; ${saved}: lower learningRate.initial, or choose initialization.method he${remedy}`,
  })
}
