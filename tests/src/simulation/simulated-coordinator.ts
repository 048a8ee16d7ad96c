import { doubtfulWorkers } from '@lockstep/coordinator/queue-watch.js'
import type { RunEffect } from '@lockstep/coordinator/run-loop/run-effect.js'
import type { RunEvent } from '@lockstep/coordinator/run-loop/run-event.js'
import { initialRunState, type BatchCounts, type RunState } from '@lockstep/coordinator/run-loop/run-state.js'
import { transition } from '@lockstep/coordinator/run-loop/transition.js'
import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import type { Job } from '@lockstep/shared/protocol/jobs.js'
import { batchStatistics } from './gradient-tree.js'
import { SimulatedAverager } from './simulated-averager.js'
import { SimulatedMembership } from './simulated-membership.js'
import type { SimulatedQueue } from './simulated-queue.js'
import { Violation } from './violation.js'
import { Place } from './virtual-time.js'
import type { SavedState, World } from './world-parts.js'

const TICK_MS = 250

/** A coordinator from its start to its end: what run-shell.ts does, line for line, around the real run loop. */
export class SimulatedCoordinator {
  readonly place: Place
  readonly averager: SimulatedAverager
  readonly membership: SimulatedMembership
  state: RunState
  #effects: RunEffect[] = []
  #performing = false
  #over = false

  /** @param from the newest checkpoint, or null */
  constructor(
    private readonly world: World,
    readonly queue: SimulatedQueue,
    readonly term: number,
    from: SavedState | null,
    private readonly onFinish: (reason: string) => void,
  ) {
    const { plan } = world.scenario
    const version = from?.version ?? 0
    this.place = new Place(`coordinator ${String(term)}`)
    this.state = initialRunState(plan, version, from?.schedule ?? initialSchedule(plan.learningRate), from === null ? -1 : version)
    world.watch.resumed(version)
    this.averager = new SimulatedAverager(world, this.place, term, {
      covered: (event) => this.dispatch({ type: 'leavesCovered', ...event }),
      reduced: ({ step, finite, ...counts }) => this.dispatch({ type: 'stepReduced', step, finite, counts }),
    })
    this.membership = new SimulatedMembership(world, this, {
      joined: (worker, leafSeconds) => this.dispatch({ type: 'workerJoined', worker, leafSeconds, nowMs: world.time.nowMs }),
      gone: (worker) => {
        this.dispatch({ type: 'workerGone', worker })
        queue.close(worker)
      },
      heard: (worker, progress) => this.dispatch({ type: 'workerHeard', worker, progress, nowMs: world.time.nowMs }),
      spanFinished: (worker, step, leaves, seconds) => this.dispatch({ type: 'spanFinished', worker, step, leaves, seconds }),
      evaluationResult: (worker, term, version, batch, counts) => this.evaluationResult(worker, term, version, batch, counts),
    })
    queue.removeAll()
    queue.onReconnected = () => this.dispatch({ type: 'queueLost' })
    this.averager.open(version, from?.chunks ?? world.watch.history[0]?.chunks ?? [], () => {
      this.#tick()
      this.dispatch({ type: 'started' })
    })
  }

  #tick(): void {
    this.world.time.after(TICK_MS, this.place, () => {
      if (this.#over) return
      this.dispatch({ type: 'tick', nowMs: this.world.time.nowMs })
      if (!this.#performing) this.#watchQueue()
      this.#tick()
    })
  }

  /** What QueueWatch does: work that vanished from the queue without a word is put in again. */
  #watchQueue(): void {
    for (const worker of doubtfulWorkers(this.state, this.world.time.nowMs)) {
      this.queue.whenEmpty(worker, this.place, () => this.dispatch({ type: 'queueLost', worker }))
    }
  }

  stop(): void {
    this.dispatch({ type: 'stopRequested', reason: 'asked to' })
  }

  /** The shell's own check: results of other terms are nobody's. */
  evaluationResult(worker: string, term: number, version: number, batch: number, counts: BatchCounts): void {
    const accepted = term === this.term || this.world.mutation === 'acceptOldTerm'
    if (!accepted) return
    const { phase, evaluation } = this.state
    if (phase === 'evaluating' && version === this.state.version && evaluation[batch] === null && term !== this.term) {
      throw new Violation('term', `an evaluation result of term ${String(term)} is taken in term ${String(this.term)}`)
    }
    this.dispatch({ type: 'evaluationResult', worker, version, batch, counts })
  }

  /** An evaluation result that was on its way for very long. */
  oldEvaluationResult(term: number, version: number, batch: number): void {
    const { digest = 0 } = this.world.watch.history[version] ?? {}
    this.evaluationResult('t0w0', term, version, batch, batchStatistics(version, batch, digest))
  }

  dispatch(event: RunEvent): void {
    if (this.#over) return
    const before = this.state
    const { state, effects } = transition(before, event)
    this.state = state
    this.#notice(event, before, effects)
    this.#effects.push(...effects)
    this.#perform()
  }

  #notice(event: RunEvent, before: RunState, effects: readonly RunEffect[]): void {
    const { watch, time } = this.world
    if (event.type !== 'tick' && event.type !== 'workerHeard') this.world.note(() => `  event ${shown(event)}`)
    for (const effect of effects) {
      this.world.count(`effect ${effect.type}`)
      this.world.note(() => `    effect ${shown(effect)}`)
    }
    if (event.type === 'stepReduced' && before.phase === 'stepping') watch.reduced(before.covered, event.step)
    if (this.state.version > before.version + 1 || this.state.version < before.version) {
      throw new Violation('versions', `from version ${String(before.version)} to ${String(this.state.version)}`)
    }
    if (!['tick', 'workerHeard', 'workerJoined', 'workerGone', 'spanFinished', 'queueLost', 'dropped'].includes(event.type))
      watch.progressMs = time.nowMs
  }

  /** Effects one after the other, each when the one before is done. */
  #perform(): void {
    if (this.#performing) return
    this.#performing = true
    for (;;) {
      const effect = this.#over ? undefined : this.#effects.shift()
      if (effect === undefined) break
      let [done, returned] = [false, false]
      this.#do(effect, () => {
        done = true
        if (!returned) return
        this.#performing = false
        this.#perform()
      })
      returned = true
      if (!done) return
    }
    this.#performing = false
  }

  #do(effect: RunEffect, done: () => void): void {
    const { averager, membership, world } = this
    switch (effect.type) {
      case 'beginStep':
        return averager.beginStep(effect.step, effect.rate, done)
      case 'assignSpan': {
        const { step, span, hint, drops } = effect
        if (effect.audited !== undefined) throw notAudited(effect)
        const next = hint === null ? null : { step: step + 1, first: hint.first, count: hint.count }
        const job: Job = { kind: 'span', term: this.term, step, first: span.first, count: span.count, hint: next }
        return this.#assign(effect.worker, drops === undefined ? job : { ...job, drops }, done)
      }
      case 'assignEvaluation': {
        const { version, batches, drops } = effect
        const job: Job = { kind: 'evaluation', term: this.term, version, first: batches.first, count: batches.count }
        return this.#assign(effect.worker, drops === undefined ? job : { ...job, drops }, done)
      }
      case 'withdrawSpan':
        membership.send(effect.worker, { withdraw: { step: effect.step, firstLeaf: effect.span.first, leafCount: effect.span.count } })
        return done()
      case 'commit':
      case 'skipStep': {
        const committed = (): void => {
          membership.broadcast({ committed: { version: effect.version } })
          this.dispatch({ type: 'committed', version: effect.version })
          done()
        }
        return effect.type === 'commit' ? averager.commit(effect.version, committed) : averager.skip(effect.version, committed)
      }
      case 'dropStep':
        return averager.drop(effect.version, () => {
          membership.broadcast({ dropped: { version: effect.version, drops: effect.drops } })
          this.dispatch({ type: 'dropped', version: effect.version })
          done()
        })
      case 'recordStep':
        return this.#recordStep(effect, done)
      case 'recordEvaluation':
        world.watch.evaluationRecorded(effect)
        return done()
      case 'writeCheckpoint':
        this.#writeCheckpoint(effect)
        return done()
      case 'expelWorker':
        world.watch.expelled(effect, membership.processOf(effect.worker), world.time.nowMs)
        membership.expel(effect.worker)
        return done()
      case 'learningRateDropped':
      case 'reportStraggler':
      case 'warn':
      case 'wait':
        return done()
      case 'auditSettled':
      case 'auditDiffers':
      case 'quarantineWorker':
      case 'startWorker':
        throw notAudited(effect)
      case 'finish':
        return this.#finish(effect.reason)
      case 'fail':
        throw new Violation('fail', effect.message)
      default:
        throw new Error(`the simulator does not know the effect ${JSON.stringify(effect)}: teach it in simulated-coordinator.ts`)
    }
  }

  #assign(worker: string, job: Job, done: () => void): void {
    if (worker in this.state.workers) this.queue.add(worker, this.place, job, done)
    else done()
  }

  #recordStep(effect: RunEffect & { type: 'recordStep' }, done: () => void): void {
    this.world.watch.stepRecorded(effect)
    // some runs ask for digests of steps, which read the version while the next effects wait
    if (this.world.scenario.seed % 4 !== 0) return done()
    this.averager.read(effect.version, 2, (chunks) => {
      this.world.watch.stateRead(effect.version, chunks)
      done()
    })
  }

  #writeCheckpoint({ version, schedule }: RunEffect & { type: 'writeCheckpoint' }): void {
    const { world } = this
    world.watch.scheduleSaved(version, schedule)
    if (version !== this.state.version) throw new Violation('checkpoint', `version ${String(version)} is no longer the committed one`)
    this.averager.read(version, world.checkpointMs, (chunks) => {
      world.watch.stateRead(version, chunks)
      world.saved.push({ version, schedule, chunks })
      this.dispatch({ type: 'checkpointWritten', version })
    })
  }

  #finish(reason: string): void {
    this.#over = true
    const newest = this.world.saved.at(-1)
    this.world.watch.finished(reason, this.state.version, this.state.schedule, newest)
    this.membership.close()
    this.onFinish(reason)
  }
}

/** Simulated plans have no share of audited leaves. */
function notAudited(effect: RunEffect): Violation {
  return new Violation('audit', `nothing is audited, and yet ${JSON.stringify(effect)}`)
}

function shown(thing: RunEvent | RunEffect): string {
  const { type, ...rest } = thing
  return `${type} ${JSON.stringify(rest)}`
}
