import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Logger } from 'pino'
import type { LocalWorkers } from './local-workers/local-workers.js'
import type { MembershipServer } from './membership/membership-server.js'
import type { RunShell } from './run-shell.js'
import type { TrainEvent } from './train-event.js'

/**
 * Tells what became of workers, and ends a run that nobody can go on with: all its local workers are gone and no other
 * is a member. The error a person reads is the first cause, not the last consequence.
 */
export function watchLocalWorkers(parts: {
  readonly workers: LocalWorkers
  readonly membership: MembershipServer
  readonly shell: RunShell
  readonly emit: (event: TrainEvent) => void
  readonly logger: Logger
  /** Local workers that the run starts; 0: it waits for others, for as long as it takes. */
  readonly expected: number
}): void {
  const { workers, membership, shell, emit, logger, expected } = parts
  let firstCause: TrainError | null = null
  membership.on('refused', (name, { code, message }) => {
    firstCause ??= new TrainError(code, `${name}: ${message}`)
    logger.error({ name, code, message }, 'worker refused')
    emit({ type: 'workerRefused', name, reason: message })
  })
  const turnedAway = new Set<string>()
  membership.on('turnedAway', ({ name, host, pid }, reason) => {
    logger.info({ name, host, pid, reason }, 'no place for a worker')
    // it asks again every few seconds: a person is told once
    const who = [name, host, pid].join(' ')
    if (turnedAway.has(who)) return
    turnedAway.add(who)
    emit({ type: 'workerRefused', name, reason })
  })
  const explained = new Set<number>()
  membership.on('trouble', ({ worker, name, pid, state }, { code, message, fatal }) => {
    logger.error({ worker, name, code, message, fatal }, 'worker in trouble')
    const cause = new TrainError(code as TrainError['code'], `${name}: ${message}`)
    if (fatal) firstCause ??= cause
    explained.add(pid)
    // policy onBadSample: stop. A worker that cannot open its data is only refused; one that trained has met a bad record
    if (code === 'DATA_CORRUPT' && state === 'admitted') shell.fail(cause)
    else emit({ type: 'warning', message: `${name}: ${message}` })
  })
  membership.on('failed', (error) => {
    shell.fail(error)
  })
  workers.onExit(({ name, pid, code, signal, cause, logFile, asked }) => {
    if (asked) return
    const how = signal ?? `exit code ${String(code)}`
    logger.warn({ name, pid, code, signal, cause }, 'local worker ended')
    const lost = new TrainError('WORKER_LOST', `${name} ended (${how})${cause === '' ? '' : `: ${cause}`}; see ${logFile}`)
    firstCause ??= lost
    // a process that died without a word of its own: its log has the reason
    if (!explained.has(pid)) emit({ type: 'warning', message: lost.message })
    if (expected > 0 && workers.running.length === 0 && membership.members.length === 0) shell.fail(firstCause)
  })
}
