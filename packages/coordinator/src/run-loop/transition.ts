import { rateOfStep, scheduleAfterStep } from '@lockstep/shared/optimizer/learning-rate.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import { assignAudits, auditedIn, auditsSettled, beginAudits, quarantine, takeCopy } from './audits.js'
import { planStep, splitLeaves, type Capacity } from './assignment.js'
import { overdueWorkers, restartDeadlines } from './deadlines.js'
import { beginEvaluation, evaluated, evaluationDue, handOutBatches } from './evaluation.js'
import { failNonFinite, MOST_SKIPS, nonFiniteWords } from './non-finite-step.js'
import type { LikelySpan, RunEffect } from './run-effect.js'
import type { RunEvent } from './run-event.js'
import { afterDrops, isDue, rangesOf, type RunState, type WorkerState } from './run-state.js'
import { stragglerAfterTurn } from './stragglers.js'

/**
 * The run loop as a pure function: no clock, socket or random number inside. The shell (coordinator.ts) runs the effects
 * in order and brings the events; a simulator can do the same.
 */
export function transition(before: RunState, event: RunEvent): { state: RunState; effects: RunEffect[] } {
  const state = structuredClone(before)
  const effects: RunEffect[] = []
  if (state.phase !== 'ended') apply(state, event, effects)
  return { state, effects }
}

/** How much of a new measurement of speed counts: a passing disturbance moves little, a lasting one moves the plan in a few steps. */
const SPEED_SMOOTHING = 0.3

/** What an idle worker's measured time becomes with every step: one five times slower is tried again after some twenty steps. */
const FADING = 0.99

function apply(state: RunState, event: RunEvent, effects: RunEffect[]): void {
  switch (event.type) {
    case 'started':
      return proceed(state, effects)
    case 'workerJoined':
      return joined(state, event, effects)
    case 'workerGone':
      Reflect.deleteProperty(state.workers, event.worker)
      return resumeWork(state, effects)
    case 'workerHeard':
      return heard(state, event)
    case 'spanFinished':
      return measured(state, event, effects)
    case 'leavesCovered':
      return covered(state, event)
    case 'stepReduced':
      return reduced(state, event, effects)
    case 'leafCopied':
      return copied(state, event, effects)
    case 'committed':
      return proceed(state, effects)
    case 'dropped':
      return state.phase === 'dropping' && event.version === state.version + 1 ? proceed(state, effects) : undefined
    case 'refereeGone':
      state.refereeAwaited = false
      return state.phase === 'stepping' ? assignAudits(state, effects) : undefined
    case 'evaluationResult':
      return evaluated(state, event, effects) ? proceed(state, effects) : undefined
    case 'checkpointWritten':
      state.savedVersion = Math.max(state.savedVersion, event.version)
      state.savingVersion = null
      if (state.phase === 'failing') return failNonFinite(state, state.failure, effects)
      return state.phase === 'saving' ? proceed(state, effects) : undefined
    case 'queueLost':
      return reassign(state, event.worker, effects)
    case 'stopRequested':
      return stop(state, event.reason, effects)
    case 'tick':
      return tick(state, event.nowMs, effects)
  }
}

function joined(state: RunState, event: RunEvent & { type: 'workerJoined' }, effects: RunEffect[]): void {
  const { worker, leafSeconds, nowMs, process = worker } = event
  const nothing = { leaves: [], audits: [], batches: [] }
  state.workers[worker] = {
    ...{ worker, process, leafSeconds: Math.max(leafSeconds, 1e-6), ...nothing, lastHeardMs: nowMs, lastProgressMs: nowMs, slowTurns: 0 },
  }
  if ((state.plan.audit?.share ?? 0) > 0) state.processes[worker] = process
  state.refereeAwaited = false
  // perhaps there is somebody to compare with now
  for (const audit of state.audits) audit.waived = false
  resumeWork(state, effects)
}

/** What comes after a version is whole and committed: evaluation, checkpoint, end, or the next step. */
function proceed(state: RunState, effects: RunEffect[]): void {
  const { plan, version } = state
  if (plan.replayUntil !== undefined && (state.stopReason !== null || version >= plan.replayUntil)) return finish(state, effects)
  const over = version >= plan.steps || state.schedule.ended
  if (state.stopReason === null && evaluationDue(state, over)) return beginEvaluation(state, effects)
  const mustSave = over || state.stopReason !== null
  const saves = plan.replayUntil === undefined && (mustSave || state.bestPending || isDue(version, plan.checkpointEvery))
  if (saves && state.savedVersion < version) {
    state.phase = 'saving'
    if (state.savingVersion === null) save(state, effects)
    // the run goes on while this version is written, unless it is the last one or another is still being written
    if (mustSave || state.savingVersion !== version) return
  }
  if (mustSave) return finish(state, effects)
  beginStep(state, effects)
}

function finish(state: RunState, effects: RunEffect[]): void {
  const { plan, version, stopReason } = state
  state.phase = 'ended'
  effects.push({
    type: 'finish',
    reason: stopReason !== null ? 'stopped' : version >= (plan.replayUntil ?? plan.steps) ? 'steps' : 'plateau',
  })
}

function save(state: RunState, effects: RunEffect[]): void {
  state.savingVersion = state.version
  effects.push({ type: 'writeCheckpoint', version: state.version, schedule: state.schedule, best: state.bestPending })
  state.bestPending = false
}

function beginStep(state: RunState, effects: RunEffect[]): void {
  if (!enoughWorkers(state, effects)) return
  const { plan, version } = state
  state.phase = 'stepping'
  state.covered = new Array<boolean>(plan.leaves).fill(false)
  for (const worker of Object.values(state.workers)) worker.leaves = []
  beginAudits(state, effects)
  const audited = state.audits.map(({ leaf }) => leaf)
  const checks = audited.length + state.quarantined.length === 0 ? {} : { audited, quarantined: [...state.quarantined] }
  effects.push({ type: 'beginStep', step: version, rate: rateOfStep(plan.learningRate, state.schedule, version, plan.steps), ...checks })
  forgive(state, effects)
  state.spans = planStep(plan.leaves, capacities(state), state.spans)
  const begin = stepFollows(state) ? { begin: true as const } : {}
  for (const span of state.spans) give(state, span.worker, span, { first: span.first, count: span.count, ...begin }, effects)
  assignAudits(state, effects)
}

/** Whether the commit of the step that begins will be followed by a step at once, as far as anybody can know, and none of its leaves is audited. */
function stepFollows(state: RunState): boolean {
  const { plan, stopReason } = state
  const next = state.version + 1
  if (stopReason !== null || next >= (plan.replayUntil ?? plan.steps) || (plan.audit?.share ?? 0) > 0) return false
  return plan.evaluationBatches === 0 || plan.evaluationEvery === null || !isDue(next, plan.evaluationEvery)
}

/** Nobody who is left without leaves is measured: what is known of a slow worker fades, so that it is tried again. Until then it is as slow as it was. */
function forgive(state: RunState, effects: RunEffect[]): void {
  const busy = new Set(state.spans.map(({ worker }) => worker))
  const workers = Object.values(state.workers)
  const fastest = Math.min(...workers.flatMap(({ worker, leafSeconds }) => (busy.has(worker) ? [leafSeconds] : [])))
  if (!Number.isFinite(fastest)) return
  for (const worker of workers) {
    if (busy.has(worker.worker) || worker.leafSeconds <= fastest) continue
    if (worker.slowTurns > 0) reportStraggler(state, worker, effects)
    worker.leafSeconds = Math.max(fastest, FADING * worker.leafSeconds)
  }
}

/** Looks whether a worker has become one. */
function reportStraggler(state: RunState, worker: WorkerState, effects: RunEffect[]): void {
  const straggler = stragglerAfterTurn(state, worker)
  if (straggler !== null) effects.push({ type: 'reportStraggler', ...straggler })
}

function enoughWorkers(state: RunState, effects: RunEffect[]): boolean {
  const present = Object.keys(state.workers).length
  if (present >= state.plan.minimumWorkers) return true
  state.phase = 'waiting'
  effects.push({ type: 'wait', reason: `waiting for workers: ${String(present)} of at least ${String(state.plan.minimumWorkers)} here` })
  return false
}

function capacities(state: RunState): Capacity[] {
  const even = state.plan.evenSpans === true
  return Object.values(state.workers).map(({ worker, leafSeconds, leaves }) => ({
    ...{ worker, leafSeconds: even ? 1 : leafSeconds, backlog: leaves.length },
  }))
}

function give(
  state: RunState,
  worker: string,
  span: { first: number; count: number },
  hint: LikelySpan | null,
  effects: RunEffect[],
): void {
  const { first, count } = span
  const owner = state.workers[worker]
  if (owner === undefined) return
  // a deadline runs from the moment there is something to do
  if (owner.leaves.length + owner.audits.length === 0) {
    owner.lastProgressMs = Math.max(owner.lastProgressMs, state.tickMs ?? owner.lastProgressMs)
  }
  owner.leaves.push(...Array.from({ length: count }, (_, index) => first + index))
  owner.audits.push(...auditedIn(state, span).filter((leaf) => !owner.audits.includes(leaf)))
  assignSpan(state, worker, { first, count }, hint, effects)
}

function assignSpan(state: RunState, worker: string, span: LeafRange, hint: LikelySpan | null, effects: RunEffect[]): void {
  const audited = auditedIn(state, span)
  const checks = { ...(audited.length === 0 ? {} : { audited }), ...afterDrops(state) }
  effects.push({ type: 'assignSpan', worker, step: state.version, span, hint, ...checks })
}

/** After somebody came or went: the wait may be over, and work without an owner needs one. */
function resumeWork(state: RunState, effects: RunEffect[]): void {
  if (state.phase === 'waiting') return proceed(state, effects)
  if (state.phase === 'stepping') {
    giveOrphans(state, effects)
    return goOnAuditing(state, effects)
  }
  if (state.phase === 'evaluating') return handOutBatches(state, effects)
}

/** Audits of somebody who went are given to others; those that nobody can do any more hold up nothing. */
function goOnAuditing(state: RunState, effects: RunEffect[]): void {
  if (state.audits.length === 0) return
  if (Object.keys(state.workers).length === 0) {
    // with the sum whole nobody has said so yet
    if (state.reduction !== null) effects.push(nobodyLeft(state))
    return
  }
  assignAudits(state, effects)
  commitReduced(state, effects)
}

function nobodyLeft({ version }: RunState): RunEffect {
  return { type: 'wait', reason: `no workers left at step ${String(version)}: waiting for one to join` }
}

function giveOrphans(state: RunState, effects: RunEffect[]): void {
  const owned = new Set(Object.values(state.workers).flatMap((worker) => worker.leaves))
  const orphans = state.covered.flatMap((done, leaf) => (done || owned.has(leaf) ? [] : [leaf]))
  if (orphans.length === 0) return
  if (Object.keys(state.workers).length === 0) {
    effects.push(nobodyLeft(state))
    return
  }
  for (const range of rangesOf(orphans)) {
    for (const span of splitLeaves(state.plan.leaves, range, capacities(state))) give(state, span.worker, span, null, effects)
  }
}

/** Puts everything that is not done into the queues again, to the same owners. */
function reassign(state: RunState, only: string | undefined, effects: RunEffect[]): void {
  for (const worker of Object.values(state.workers)) {
    if (only !== undefined && worker.worker !== only) continue
    const leaves = [...new Set([...worker.leaves, ...worker.audits])].sort((a, b) => a - b)
    for (const span of state.phase === 'stepping' ? rangesOf(leaves) : []) assignSpan(state, worker.worker, span, null, effects)
    for (const batches of state.phase === 'evaluating' ? rangesOf([...worker.batches].sort((a, b) => a - b)) : []) {
      effects.push({ type: 'assignEvaluation', worker: worker.worker, version: state.version, batches, ...afterDrops(state) })
    }
  }
}

function heard(state: RunState, event: RunEvent & { type: 'workerHeard' }): void {
  const worker = state.workers[event.worker]
  if (worker === undefined) return
  worker.lastHeardMs = event.nowMs
  if (event.progress) worker.lastProgressMs = event.nowMs
}

function measured(state: RunState, event: RunEvent & { type: 'spanFinished' }, effects: RunEffect[]): void {
  const worker = state.workers[event.worker]
  if (worker === undefined || event.leaves === 0) return
  const seconds = Math.max(event.seconds / event.leaves, 1e-6)
  worker.leafSeconds += SPEED_SMOOTHING * (seconds - worker.leafSeconds)
  reportStraggler(state, worker, effects)
}

function covered(state: RunState, event: RunEvent & { type: 'leavesCovered' }): void {
  if (state.phase !== 'stepping' || event.step !== state.version) return
  const end = event.first + event.count
  for (let leaf = event.first; leaf < end; leaf++) state.covered[leaf] = true
  for (const worker of Object.values(state.workers)) worker.leaves = worker.leaves.filter((leaf) => leaf < event.first || leaf >= end)
}

function reduced(state: RunState, event: RunEvent & { type: 'stepReduced' }, effects: RunEffect[]): void {
  if (state.phase !== 'stepping' || event.step !== state.version) return
  state.reduction = { counts: event.counts, finite: event.finite, origin: event.origin }
  commitReduced(state, effects)
}

function copied(state: RunState, event: RunEvent & { type: 'leafCopied' }, effects: RunEffect[]): void {
  const liars = takeCopy(state, event, effects)
  if (liars.length === 0) return commitReduced(state, effects)
  // nothing of this step that came from them can be trusted, audited or not: it is done again without them
  quarantine(state, liars, event.leaf, effects)
  dropStep(state, effects)
  state.phase = 'dropping'
}

function dropStep(state: RunState, effects: RunEffect[]): void {
  state.drops += 1
  state.audits = []
  state.reduction = null
  for (const worker of Object.values(state.workers)) worker.audits = []
  effects.push({ type: 'dropStep', version: state.version + 1, drops: state.drops })
}

/** Commits the version once it is whole and its audits are settled. */
function commitReduced(state: RunState, effects: RunEffect[]): void {
  const event = state.reduction
  if (event === null || state.phase !== 'stepping' || !auditsSettled(state)) return
  const { plan } = state
  const next = state.version + 1
  const loss = event.counts.lossSum / plan.globalBatch
  const rate = rateOfStep(plan.learningRate, state.schedule, state.version, plan.steps)
  const schedule = scheduleAfterStep(plan.learningRate, state.schedule, next)
  const skipped = event.finite && Number.isFinite(loss) ? null : nonFiniteWords(loss, next, event.origin)
  state.skips = skipped === null ? 0 : state.skips + 1
  if (skipped !== null) {
    dropStep(state, effects)
    if (plan.nonFinite !== 'skip' || state.skips >= MOST_SKIPS) return failNonFinite(state, skipped, effects)
  }
  state.phase = 'committing'
  effects.push({ type: skipped === null ? 'commit' : 'skipStep', version: next })
  const { samples, correctTop1, correctTop5 } = event.counts
  effects.push({
    ...{ type: 'recordStep', version: next, loss, top1: correctTop1 / samples, top5: correctTop5 / samples, rate, schedule },
    ...(skipped === null ? {} : { skipped }),
  })
  if (schedule.rate !== state.schedule.rate)
    effects.push({ type: 'learningRateDropped', version: next, from: state.schedule.rate, to: schedule.rate })
  state.schedule = schedule
  state.version = next
  for (const worker of Object.values(state.workers)) worker.leaves = []
  state.reduction = null
}

function stop(state: RunState, reason: string, effects: RunEffect[]): void {
  if (state.stopReason !== null || state.phase === 'failing') return
  state.stopReason = reason
  if (state.phase === 'stepping') {
    for (const worker of Object.values(state.workers)) {
      for (const span of rangesOf([...worker.leaves].sort((a, b) => a - b))) {
        effects.push({ type: 'withdrawSpan', worker: worker.worker, step: state.version, span })
      }
    }
    dropStep(state, effects)
  }
  // nothing is asked of anybody any more: no deadline runs while the checkpoint is written
  for (const worker of Object.values(state.workers)) {
    worker.leaves = []
    worker.batches = []
  }
  if (state.phase !== 'committing' && state.phase !== 'dropping' && state.phase !== 'starting') proceed(state, effects)
}

function tick(state: RunState, nowMs: number, effects: RunEffect[]): void {
  restartDeadlines(state, nowMs)
  state.tickMs = nowMs
  const overdue = overdueWorkers(state, nowMs)
  for (const { worker, reason } of overdue) {
    Reflect.deleteProperty(state.workers, worker)
    effects.push({ type: 'expelWorker', worker, reason })
  }
  if (overdue.length > 0) resumeWork(state, effects)
}
