import { auditedLeaves } from '@lockstep/shared/reduction/audited-leaves.js'
import type { RunEffect } from './run-effect.js'
import type { RunEvent } from './run-event.js'
import type { AuditedLeaf, LeafCopy, RunState, WorkerState } from './run-state.js'

/**
 * Audits: some leaves of a step are computed by two workers, and the step is committed only when what they sent has the
 * same bits. Two that differ are settled by a third; whoever is alone with its bits computed wrong ones. Functions here
 * change `state`, a fresh copy, like everything in the run loop.
 */

/** Processes that agree settle a leaf. Different memberships of one process are one witness. */
const WITNESSES = 2

/** What the copies of one leaf come to. */
export type Verdict =
  /** `copies` of different processes are needed in all before it can be settled. */
  | { readonly type: 'open'; readonly copies: number }
  /** Two agree, and so does the sum. `liars`: memberships whose bits were others. */
  | { readonly type: 'settled'; readonly liars: readonly string[] }

/** Compares. */
export function verdictOf({ copies, counted }: AuditedLeaf): Verdict {
  const agreed = copies.find(({ digest }, at) => copies.findIndex((other) => other.digest === digest) < at)?.digest
  if (agreed === undefined) return { type: 'open', copies: Math.max(WITNESSES, copies.length + 1) }
  if (counted === null) return { type: 'open', copies: copies.length }
  const liars = copies.filter(({ digest }) => digest !== agreed).map(({ worker }) => worker)
  if (counted.digest === agreed || liars.length > 0) return { type: 'settled', liars }
  // what counts is of somebody who sent a part of the leaf and went: a part that differs from what two others agree on
  const honest = new Set(copies.map(({ worker }) => worker))
  return { type: 'settled', liars: counted.from.filter((worker) => !honest.has(worker)) }
}

/** Chooses the leaves of the step that begins. A lone process cannot be compared with anybody: that is said once. */
export function beginAudits(state: RunState, effects: RunEffect[]): void {
  state.audits = []
  state.reduction = null
  for (const worker of Object.values(state.workers)) worker.audits = []
  const { audit, leaves } = state.plan
  if (audit === undefined || audit.share === 0) return
  if (new Set(Object.values(state.workers).map(({ process }) => process)).size < WITNESSES) return warnLoneWorker(state, effects)
  state.audits = auditedLeaves(audit.seed, audit.share, state.version, leaves).map((leaf) => ({
    ...{ leaf, copies: [], counted: null, waived: false },
  }))
}

/** The audited leaves of a range, settled or not: they are nodes of their own for as long as the step runs. */
export function auditedIn(state: RunState, { first, count }: { first: number; count: number }): number[] {
  return state.audits.flatMap(({ leaf }) => (leaf >= first && leaf < first + count ? [leaf] : []))
}

/** Sees to it that every unsettled leaf is in the hands of as many processes as it takes. */
export function assignAudits(state: RunState, effects: RunEffect[]): void {
  const unsettled = state.audits.flatMap((audit) => {
    const verdict = verdictOf(audit)
    return verdict.type === 'open' && !audit.waived ? [{ audit, needed: verdict.copies }] : []
  })
  for (const { audit, needed } of unsettled) {
    const { leaf, copies } = audit
    const witnesses = new Set(copies.map(({ process }) => process))
    for (const worker of Object.values(state.workers)) if (worker.audits.includes(leaf)) witnesses.add(worker.process)
    while (witnesses.size < needed) {
      const auditor = chooseAuditor(state, witnesses)
      if (auditor === undefined) {
        lackWitness(state, audit, effects)
        break
      }
      witnesses.add(auditor.process)
      ask(state, auditor, leaf, effects)
    }
  }
}

/** The one who would be done first, with everything it has in hand. Among equals those take turns who had no audit. */
function chooseAuditor(state: RunState, witnesses: ReadonlySet<string>): WorkerState | undefined {
  const finish = ({ leaves, audits, leafSeconds }: WorkerState): number => new Set([...leaves, ...audits]).size * leafSeconds
  const free = Object.values(state.workers).filter(({ process }) => !witnesses.has(process))
  return free.sort((a, b) => finish(a) + a.leafSeconds - (finish(b) + b.leafSeconds) || a.audits.length - b.audits.length)[0]
}

function ask(state: RunState, worker: WorkerState, leaf: number, effects: RunEffect[]): void {
  if (worker.leaves.length === 0 && worker.audits.length === 0) {
    worker.lastProgressMs = Math.max(worker.lastProgressMs, state.tickMs ?? worker.lastProgressMs)
  }
  worker.audits.push(leaf)
  const span = { first: leaf, count: 1 }
  // the worker goes on decoding what it will need at the next step
  const next = state.spans.find((other) => other.worker === worker.worker)
  const hint = next === undefined ? null : { first: next.first, count: next.count }
  effects.push({ type: 'assignSpan', worker: worker.worker, step: state.version, span, hint, audited: [leaf], drops: state.drops })
}

/** Nobody is there who could compute the leaf once more. */
function lackWitness(state: RunState, audit: AuditedLeaf, effects: RunEffect[]): void {
  const { leaf, copies } = audit
  if (copies.length < WITNESSES) {
    // no quarrel: the others are gone, and training goes on without them
    audit.waived = true
    return warnLoneWorker(state, effects)
  }
  if (state.refereeAwaited) return
  state.refereeAwaited = true
  effects.push({ type: 'startWorker', role: 'referee' })
  effects.push({
    type: 'wait',
    reason: `${copies.map(({ worker }) => worker).join(' and ')} computed leaf ${String(leaf)} of step ${String(state.version)} with different bits: waiting for another worker to settle it`,
  })
}

function warnLoneWorker(state: RunState, effects: RunEffect[]): void {
  if (state.loneWorkerTold) return
  state.loneWorkerTold = true
  effects.push({
    type: 'warn',
    message: `audit.share is ${String(state.plan.audit?.share)}, but a worker alone cannot be compared with another: steps go on without audits until a second one is here`,
  })
}

/**
 * An audited leaf is whole, from one worker or in the sum.
 * @returns memberships that computed wrong bits; empty while there is no verdict, or nothing wrong
 */
export function takeCopy(state: RunState, event: RunEvent & { type: 'leafCopied' }, effects: RunEffect[]): string[] {
  const { leaf, from, digest } = event
  const audit = state.audits.find((other) => other.leaf === leaf)
  if (state.phase !== 'stepping' || event.step !== state.version || audit === undefined) return []
  const before = verdictOf(audit)
  if (event.counted) audit.counted = { from: [...from], digest }
  else addCopy(state, audit, { worker: from[0] ?? '', process: state.processes[from[0] ?? ''] ?? '', digest })
  if (before.type === 'settled') return []
  const verdict = verdictOf(audit)
  if (verdict.type === 'open') {
    if (verdict.copies > WITNESSES) audit.waived = false
    if (verdict.copies > WITNESSES && verdict.copies > before.copies) {
      effects.push({ type: 'auditDiffers', step: state.version, leaf, workers: audit.copies.map(({ worker }) => worker) })
    }
    assignAudits(state, effects)
    return []
  }
  for (const worker of Object.values(state.workers)) worker.audits = worker.audits.filter((other) => other !== leaf)
  effects.push({ type: 'auditSettled', step: state.version, leaf, equal: verdict.liars.length === 0 })
  return [...verdict.liars]
}

function addCopy(state: RunState, audit: AuditedLeaf, copy: LeafCopy): void {
  const worker = state.workers[copy.worker]
  if (worker !== undefined) worker.audits = worker.audits.filter((leaf) => leaf !== audit.leaf)
  if (!audit.copies.some(({ process }) => process === copy.process)) audit.copies.push(copy)
}

/** Whether a step may be committed as far as audits are concerned. */
export function auditsSettled(state: RunState): boolean {
  return state.audits.every((audit) => audit.waived || verdictOf(audit).type === 'settled')
}

/** Ends the memberships of processes that computed wrong bits; nothing they sent or will send counts. */
export function quarantine(state: RunState, liars: readonly string[], leaf: number, effects: RunEffect[]): void {
  const processes = new Set(liars.map((worker) => state.processes[worker] ?? worker))
  for (const [worker, process] of Object.entries(state.processes)) {
    if (!processes.has(process) || state.quarantined.includes(worker)) continue
    state.quarantined.push(worker)
    const isMember = worker in state.workers
    Reflect.deleteProperty(state.workers, worker)
    if (isMember || liars.includes(worker)) effects.push({ type: 'quarantineWorker', worker, step: state.version, leaf })
  }
  const missing = state.plan.minimumWorkers - Object.keys(state.workers).length
  for (let index = 0; index < missing; index++) effects.push({ type: 'startWorker', role: 'replacement' })
}
