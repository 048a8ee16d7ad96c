import { scheduleAfterEvaluation } from '@lockstep/shared/optimizer/learning-rate.js'
import type { RunEffect } from './run-effect.js'
import type { RunEvent } from './run-event.js'
import { afterDrops, isDue, rangesOf, type BatchCounts, type RunState } from './run-state.js'

/** Evaluations within the run loop: batches handed out, results taken in, what follows for the learning rate. Mutates `state`, a fresh copy. */

/** Whether the committed version is to be looked at. @param over whether training ends with it */
export function evaluationDue(state: RunState, over: boolean): boolean {
  const { plan, version, schedule } = state
  if (plan.evaluationBatches === 0 || version === 0 || schedule.evaluatedVersion >= version) return false
  return over || (plan.evaluationEvery !== null && isDue(version, plan.evaluationEvery))
}

/** Looks at the validation pictures with the committed version. */
export function beginEvaluation(state: RunState, effects: RunEffect[]): void {
  state.phase = 'evaluating'
  state.evaluation = new Array<BatchCounts | null>(state.plan.evaluationBatches).fill(null)
  for (const worker of Object.values(state.workers)) worker.batches = []
  handOutBatches(state, effects)
}

/** Batches go out in small portions as results come in: the fast take more, and the end comes for all at once. */
export function handOutBatches(state: RunState, effects: RunEffect[]): void {
  const workers = Object.values(state.workers)
  if (workers.length === 0) {
    effects.push({ type: 'wait', reason: `no workers left to evaluate step ${String(state.version)}: waiting for one to join` })
    return
  }
  const owned = new Set(workers.flatMap((worker) => worker.batches))
  const free = state.evaluation.flatMap((result, batch) => (result !== null || owned.has(batch) ? [] : [batch]))
  for (const worker of workers) {
    if (worker.batches.length > 1 || free.length === 0) continue
    if (worker.batches.length === 0) worker.lastProgressMs = Math.max(worker.lastProgressMs, state.tickMs ?? worker.lastProgressMs)
    const portion = free.splice(0, Math.max(1, Math.floor(free.length / (2 * workers.length))))
    worker.batches.push(...portion)
    for (const batches of rangesOf(portion))
      effects.push({ type: 'assignEvaluation', worker: worker.worker, version: state.version, batches, ...afterDrops(state) })
  }
}

/** Takes in the result of a batch. @returns whether the evaluation is over with it */
export function evaluated(state: RunState, event: RunEvent & { type: 'evaluationResult' }, effects: RunEffect[]): boolean {
  if (state.phase !== 'evaluating' || event.version !== state.version) return false
  if (state.evaluation[event.batch] === null) state.evaluation[event.batch] = event.counts
  for (const worker of Object.values(state.workers)) worker.batches = worker.batches.filter((batch) => batch !== event.batch)
  if (state.evaluation.includes(null)) {
    handOutBatches(state, effects)
    return false
  }
  endEvaluation(state, effects)
  return true
}

function endEvaluation(state: RunState, effects: RunEffect[]): void {
  const sum = { samples: 0, correctTop1: 0, correctTop5: 0, lossSum: 0 }
  // in batch order: float64 addition is exact only as to its order
  for (const counts of state.evaluation) {
    sum.samples += counts?.samples ?? 0
    sum.correctTop1 += counts?.correctTop1 ?? 0
    sum.correctTop5 += counts?.correctTop5 ?? 0
    sum.lossSum += counts?.lossSum ?? 0
  }
  const metrics = { loss: sum.lossSum / sum.samples, top1: sum.correctTop1 / sum.samples, top5: sum.correctTop5 / sum.samples }
  const schedule = scheduleAfterEvaluation(state.plan.learningRate, state.schedule, state.version, metrics)
  const best = schedule.withoutImprovement === 0 && schedule.best !== state.schedule.best
  effects.push({ type: 'recordEvaluation', version: state.version, metrics, samples: sum.samples, best })
  if (schedule.rate !== state.schedule.rate) {
    effects.push({ type: 'learningRateDropped', version: state.version, from: state.schedule.rate, to: schedule.rate })
  }
  state.schedule = schedule
  state.bestPending = best
  state.evaluation = []
  // a checkpoint of this version from before the evaluation does not know what the evaluation changed
  state.savedVersion = Math.min(state.savedVersion, state.version - 1)
}
