import { hostname } from 'node:os'
import type { Logger } from 'pino'
import type { LocalWorkers } from './local-workers/local-workers.js'
import type { Member } from './membership/member.js'
import type { MembershipServer } from './membership/membership-server.js'
import type { RunEffect } from './run-loop/run-effect.js'
import type { RunReport } from './run-report.js'
import type { TrainEvent } from './train-event.js'

/** What the run loop decides about audits. */
export type AuditEffect = Extract<RunEffect, { type: 'auditSettled' | 'auditDiffers' | 'quarantineWorker' | 'startWorker' }>

export interface QuarantineParts {
  readonly membership: MembershipServer
  readonly workers: LocalWorkers
  /** Local workers that the recipe asks for; 0: all workers come from elsewhere. */
  readonly localWorkers: number
  readonly report: RunReport
  readonly emit: (event: TrainEvent) => void
  readonly logger: Logger
}

/** A worker that was started to settle a quarrel and ended before it joined is started again so many times. */
const REFEREES = 3

/**
 * Carries out what audits come to: counts comparisons, names those who differ, keeps out who computed wrong bits, and
 * starts the worker that settles a quarrel of two.
 */
export class Quarantine {
  readonly #parts: QuarantineParts
  /** Processes, as host and process id. */
  readonly #processes = new Set<string>()
  /** Everyone who was ever a member, by membership: a liar may be gone when it is found out. */
  readonly #known = new Map<string, Pick<Member, 'name' | 'host' | 'pid' | 'process'>>()
  /** Process ids of referees that have not joined yet. */
  readonly #awaited = new Set<number>()
  #referees = 0
  #replacements = 0
  #refereeGone: () => void = () => undefined

  constructor(parts: QuarantineParts) {
    this.#parts = parts
    parts.membership.on('joined', ({ worker, name, host, pid, process }) => {
      this.#known.set(worker, { name, host, pid, process })
      this.#awaited.delete(pid)
    })
    parts.workers.onExit(({ pid, asked }) => {
      if (this.#awaited.delete(pid) && !asked && this.#referees < REFEREES) this.#refereeGone()
    })
  }

  /** Calls back when a worker that was to settle a quarrel ended before it joined. */
  onRefereeGone(listener: () => void): void {
    this.#refereeGone = listener
  }

  /** Whether a process is in quarantine. @param process host and process id, as members give it */
  has(process: string): boolean {
    return this.#processes.has(process)
  }

  perform(effect: AuditEffect): void {
    const { report, emit, logger } = this.#parts
    switch (effect.type) {
      case 'auditSettled':
        report.leafAudited()
        return
      case 'auditDiffers': {
        const { step, leaf, workers } = effect
        const names = workers.map((worker) => this.#known.get(worker)?.name ?? worker)
        logger.warn({ step, leaf, workers, names }, 'an audited leaf has different bits')
        report.fault('auditDiffers')
        emit({ type: 'auditDiffers', step: step + 1, leaf, names })
        return
      }
      case 'quarantineWorker':
        this.#quarantine(effect)
        return
      case 'startWorker':
        this.#start(effect.role)
    }
  }

  #quarantine({ worker, step, leaf }: AuditEffect & { type: 'quarantineWorker' }): void {
    const { membership, workers, report, emit, logger } = this.#parts
    const known = this.#known.get(worker)
    if (known === undefined || this.#processes.has(known.process)) return
    const { name, host, pid, process } = known
    this.#processes.add(process)
    const reason = `its bits of leaf ${String(leaf)} at step ${String(step + 1)} were not those that two others computed`
    logger.error({ worker, name, host, pid, step, leaf }, `worker in quarantine: ${reason}`)
    report.fault('workerQuarantined')
    membership.quarantine(process, `${name} computed wrong bits: ${reason}; it is not admitted again`)
    if (host === hostname()) workers.running.find((local) => local.pid === pid)?.kill()
    emit({ type: 'workerQuarantined', worker, name, pid, host, step: step + 1, leaf })
  }

  #start(role: 'referee' | 'replacement'): void {
    const { workers, localWorkers, emit, logger } = this.#parts
    // where all workers come from elsewhere, whoever starts them starts another
    if (role === 'replacement' && localWorkers === 0) return
    const count = role === 'referee' ? ++this.#referees : ++this.#replacements
    const { name, pid } = workers.start(`${role}-${String(count)}`)
    if (role === 'referee') this.#awaited.add(pid)
    logger.info({ name, pid }, `a ${role} was started`)
    emit({ type: 'waiting', reason: role === 'referee' ? `starting ${name} to tell who is right` : `starting ${name} in the place of it` })
  }
}
