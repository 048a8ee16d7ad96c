import { performance } from 'node:perf_hooks'
import { stateSuffix } from '@lockstep/shared/checkpoint/state-suffix.js'
import { invariant, TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Job } from '@lockstep/shared/protocol/jobs.js'
import type { Logger } from 'pino'
import { EffectQueue } from './effect-queue.js'
import type { Member } from './membership/member.js'
import type { MembershipServer } from './membership/membership-server.js'
import type { MetricsLog } from './metrics/metrics-log.js'
import { StepTally } from './metrics/step-tally.js'
import { nonFiniteOrigin } from './non-finite-origin.js'
import type { Preparation } from './preparation.js'
import type { Quarantine } from './quarantine.js'
import { QueueWatch } from './queue-watch.js'
import type { RunEffect } from './run-loop/run-effect.js'
import type { RunEvent } from './run-loop/run-event.js'
import { initialRunState, type BatchCounts, type RunState } from './run-loop/run-state.js'
import { transition } from './run-loop/transition.js'
import type { RunReport } from './run-report.js'
import type { RunServices } from './run-services.js'
import type { RunTrace } from './trace/run-trace.js'
import type { TrainEvent } from './train-event.js'

const TICK_MS = 250

export interface ShellParts {
  readonly preparation: Preparation
  readonly services: RunServices
  readonly membership: MembershipServer
  readonly metrics: MetricsLog
  readonly report: RunReport
  readonly quarantine: Quarantine
  readonly trace: RunTrace
  readonly logger: Logger
  readonly emit: (event: TrainEvent) => void
}

export type FinishReason = (RunEffect & { type: 'finish' })['reason']

/**
 * The thin shell around the run loop: brings it events from averager, membership and clock, and runs its effects in their order, one
 * after the other but for jobs of different workers. Everything that decides is in run-loop/.
 */
export class RunShell {
  readonly #parts: ShellParts
  /** Ends when the run does. */
  readonly finished: Promise<FinishReason>
  #finish!: (reason: FinishReason) => void
  #fail!: (error: unknown) => void
  #state: RunState
  readonly #effects: EffectQueue
  #over = false
  #ticks: NodeJS.Timeout | undefined
  #evaluationStartMs = 0
  readonly #tally = new StepTally()
  /** Which checkpoint metrics to write: those of the newest evaluation, if it was of that version. */
  #evaluated: { version: number; metrics: { loss: number; top1: number; top5: number } } | null = null

  constructor(parts: ShellParts) {
    this.#parts = parts
    const perform = async (effect: RunEffect): Promise<void> => {
      if (!this.#over) await this.#perform(effect)
    }
    this.#effects = new EffectQueue(perform, (error) => {
      this.fail(error)
    })
    const { plan, version, schedule, checkpoint } = parts.preparation
    this.#state = initialRunState(plan, version, schedule, checkpoint === null ? -1 : version)
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve
      this.#fail = reject
    })
    // whoever awaits it later must not come too late for the process
    this.finished.catch(() => undefined)
    this.#listen()
  }

  /** Committed weights version. */
  get version(): number {
    return this.#state.version
  }

  /** Version of the newest whole checkpoint; −1: none. */
  get savedVersion(): number {
    return this.#state.savedVersion
  }

  /** Bytes that the state digest ends with: schedule state and next step. */
  get suffix(): Buffer {
    return stateSuffix(this.#state.schedule, this.#state.version)
  }

  /** The weights are there: work may begin. Workers may have joined before. */
  start(): void {
    const { services, logger } = this.#parts
    const lost = (worker: string): void => {
      this.dispatch({ type: 'queueLost', worker })
    }
    const queueWatch = new QueueWatch(services.queues, lost, logger)
    this.#ticks = setInterval(() => {
      const nowMs = performance.now()
      this.dispatch({ type: 'tick', nowMs })
      // a job that is still on its way into the queue is not missing there
      if (this.#effects.waiting === 0) queueWatch.look(this.#state, nowMs)
    }, TICK_MS)
    this.dispatch({ type: 'started' })
  }

  /** Checkpoint and end, soon. */
  stop(reason: string): void {
    this.#parts.emit({ type: 'stopping', reason })
    this.dispatch({ type: 'stopRequested', reason })
  }

  /** Ends the run with an error. */
  fail(error: unknown): void {
    if (this.#over) return
    this.#over = true
    clearInterval(this.#ticks)
    this.#fail(error)
  }

  dispatch(event: RunEvent): void {
    if (this.#over) return
    const { state, effects } = transition(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#effects.add(effect)
  }

  #listen(): void {
    const { services, membership, report, emit, logger, quarantine } = this.#parts
    const { averager } = services
    averager.on('covered', (event) => {
      this.dispatch({ type: 'leavesCovered', ...event })
    })
    averager.on('reduced', ({ step, finite, lossSum, samples, correctTop1, correctTop5, nonFiniteLayer = 0, nonFiniteParameter }) => {
      const origin = nonFiniteOrigin(this.#parts.preparation.network, nonFiniteLayer, nonFiniteParameter)
      this.dispatch({
        ...{ type: 'stepReduced', step, finite, counts: { lossSum, samples, correctTop1, correctTop5 } },
        ...(origin === null ? {} : { origin }),
      })
    })
    averager.on('copied', (copy) => {
      this.dispatch({ type: 'leafCopied', ...copy })
    })
    averager.on('error', (error) => {
      this.fail(error)
    })
    membership.on('joined', ({ worker, name, pid, host, process }, leafSeconds) => {
      report.workerJoined(worker)
      logger.info({ worker, name, pid, host, leafSeconds }, 'worker joined')
      emit({ type: 'workerJoined', worker, name, pid, host })
      this.dispatch({ type: 'workerJoined', worker, leafSeconds, nowMs: performance.now(), process })
    })
    membership.on('gone', (member, reason, polite) => {
      this.#gone(member, reason, polite)
    })
    membership.on('heard', ({ worker }, progress) => {
      this.dispatch({ type: 'workerHeard', worker, progress, nowMs: performance.now() })
    })
    membership.on('spanFinished', ({ worker }, span) => {
      const { step, leafCount, loadSeconds, computeSeconds } = span
      this.#tally.add(span)
      this.dispatch({ type: 'spanFinished', worker, step, leaves: leafCount, seconds: loadSeconds + computeSeconds })
    })
    membership.on('evaluationResult', ({ worker }, { version, batch, term, ...counts }) => {
      if (term === this.#parts.preparation.term) this.#evaluationResult(worker, version, batch, counts)
    })
    quarantine.onRefereeGone(() => {
      this.dispatch({ type: 'refereeGone' })
    })
    services.watchQueue({
      refill: () => {
        logger.warn('the queue connection was lost and is back: outstanding jobs are put in again')
        this.dispatch({ type: 'queueLost' })
      },
      warn: (message) => {
        report.fault('queueEnded')
        emit({ type: 'warning', message })
      },
      fail: (error) => {
        this.fail(error)
      },
    })
  }

  #gone({ worker, name, process }: Member, reason: string, polite: boolean): void {
    const { services, report, emit, logger, quarantine } = this.#parts
    logger.warn({ worker, name, reason, polite }, 'worker gone')
    if (!quarantine.has(process)) {
      if (!polite) report.fault('workerLost')
      emit({ type: polite ? 'workerLeft' : 'workerLost', worker, name, reason })
    }
    this.dispatch({ type: 'workerGone', worker })
    services.queues.close(worker).catch((error: unknown) => {
      logger.warn({ worker, error }, 'the queue of a worker that is gone could not be removed')
    })
  }

  #evaluationResult(worker: string, version: number, batch: number, counts: BatchCounts): void {
    this.dispatch({ type: 'evaluationResult', worker, version, batch, counts })
    const { evaluation, phase } = this.#state
    if (phase !== 'evaluating') return
    const done = evaluation.filter((result) => result !== null).length
    this.#parts.emit({ type: 'evaluating', step: version, done, total: evaluation.length })
  }

  async #perform(effect: RunEffect): Promise<void> {
    const { services, membership, report, emit, logger, quarantine, trace } = this.#parts
    switch (effect.type) {
      case 'beginStep': {
        const { audited = [], quarantined = [] } = effect
        trace.stepBegins()
        await services.averager.beginStep(effect.step, effect.rate, { audited, quarantined })
        return
      }
      case 'assignSpan': {
        await this.#assign(effect.worker, this.#spanJob(effect))
        logger.debug({ worker: effect.worker, step: effect.step, ...effect.span }, 'span assigned')
        return
      }
      case 'assignEvaluation':
        await this.#assign(effect.worker, this.#evaluationJob(effect))
        return
      case 'withdrawSpan':
        membership.send(effect.worker, { withdraw: { step: effect.step, firstLeaf: effect.span.first, leafCount: effect.span.count } })
        return
      case 'commit':
      case 'skipStep':
        await this.#commit(effect)
        return
      case 'dropStep':
        // whoever hears of it asks again, and must not be given the same once more
        await services.averager.drop(effect.version)
        membership.broadcast({ dropped: { version: effect.version, drops: effect.drops } })
        this.dispatch({ type: 'dropped', version: effect.version })
        return
      case 'auditSettled':
      case 'auditDiffers':
      case 'quarantineWorker':
      case 'startWorker':
        quarantine.perform(effect)
        return
      case 'warn':
        emit({ type: 'warning', message: effect.message })
        return
      case 'recordStep': {
        await this.#recordStep(effect)
        return
      }
      case 'recordEvaluation':
        this.#recordEvaluation(effect)
        return
      case 'learningRateDropped':
        emit({ type: 'learningRateDropped', step: effect.version, from: effect.from, to: effect.to })
        return
      case 'writeCheckpoint':
        await this.#writeCheckpoint(effect)
        return
      case 'expelWorker':
        membership.expel(effect.worker, effect.reason, true)
        return
      case 'reportStraggler':
        this.#reportStraggler(effect)
        return
      case 'wait':
        report.restartClock(performance.now())
        emit({ type: 'waiting', reason: effect.reason })
        return
      case 'finish':
        this.#over = true
        clearInterval(this.#ticks)
        this.#finish(effect.reason)
        return
      case 'fail':
        this.fail(new TrainError(effect.code, effect.message))
    }
  }

  async #commit({ type, version }: RunEffect & { type: 'commit' | 'skipStep' }): Promise<void> {
    const { services, membership, trace } = this.#parts
    await (type === 'commit' ? services.averager.commit(version) : services.averager.skip(version))
    trace.committed(version)
    membership.broadcast({ committed: { version } })
    this.dispatch({ type: 'committed', version })
  }

  #reportStraggler({ worker, leafSeconds, othersSeconds }: RunEffect & { type: 'reportStraggler' }): void {
    const { membership, report, emit, logger } = this.#parts
    const member = membership.members.find((other) => other.worker === worker)
    if (member === undefined) return
    const seconds = (value: number): string => `${value.toPrecision(2)} s`
    const times = (leafSeconds / othersSeconds).toFixed(1)
    report.fault('straggler')
    logger.warn({ worker, name: member.name, leafSeconds, othersSeconds }, 'straggler')
    emit({
      type: 'warning',
      message: `${member.name} is a straggler: ${seconds(leafSeconds)} a leaf, ${times} times the ${seconds(othersSeconds)} of the others; it gets smaller spans; see what else runs on ${member.host}, process ${String(member.pid)}`,
    })
  }

  #spanJob({ step, span, hint, audited, drops }: RunEffect & { type: 'assignSpan' }): Job {
    const next = hint === null ? null : { step: step + 1, ...hint }
    const checks = { ...(audited === undefined ? {} : { audited }), ...(drops === undefined ? {} : { drops }) }
    return { kind: 'span', term: this.#parts.preparation.term, step, first: span.first, count: span.count, hint: next, ...checks }
  }

  #evaluationJob({ version, batches, drops }: RunEffect & { type: 'assignEvaluation' }): Job {
    const { term } = this.#parts.preparation
    return { kind: 'evaluation', term, version, first: batches.first, count: batches.count, ...(drops === undefined ? {} : { drops }) }
  }

  /** A worker that went while its job was on the way here has had its work given to others already. */
  async #assign(worker: string, job: Job): Promise<void> {
    if (worker in this.#state.workers) await this.#parts.services.queues.add(worker, job)
  }

  async #recordStep(effect: RunEffect & { type: 'recordStep' }): Promise<void> {
    const { preparation, services, metrics, report, emit } = this.#parts
    const { version: step, loss, top1, rate: learningRate, skipped } = effect
    if (skipped !== undefined) {
      report.fault('stepSkipped')
      emit({ type: 'warning', message: `${skipped}; its update is left out` })
    }
    const seconds = report.stepDone(performance.now(), loss)
    const every = preparation.recipe.run.checkpoint.digestEverySteps
    const digest = every > 0 && step % every === 0 ? await services.averager.digest(step, stateSuffix(effect.schedule, step)) : null
    await this.#compare(step, digest?.stateDigest ?? null)
    const shown = {
      ...{ step, loss, top1, learningRate, samplesPerSecond: report.samplesPerSecond, workers: Object.keys(this.#state.workers).length },
      ...(digest === null ? {} : { stateDigest: digest.stateDigest }),
      ...(skipped === undefined ? {} : { skipped: true as const }),
    }
    metrics.step({ ...shown, seconds, ...this.#tally.take(services.averager.busySeconds) })
    const { steps } = preparation.plan
    emit({ type: 'step', ...shown, steps, secondsLeft: report.secondsLeft(steps - step) })
    this.#evaluationStartMs = performance.now()
  }

  /** In a replay: tells the digests that the step came to. */
  async #compare(step: number, ofStep: string | null): Promise<void> {
    const { preparation, services } = this.#parts
    const suffix = preparation.replay?.suffixes.get(step)
    const ofCheckpoint = suffix === undefined ? null : await services.averager.digest(step, suffix)
    preparation.replay?.onStep(step, ofStep, ofCheckpoint?.stateDigest ?? null)
  }

  #recordEvaluation({ version: step, metrics, samples, best }: RunEffect & { type: 'recordEvaluation' }): void {
    const nowMs = performance.now()
    const shown = { step, ...metrics, samples, seconds: (nowMs - this.#evaluationStartMs) / 1000, best }
    this.#evaluated = { version: step, metrics }
    this.#parts.report.evaluated(metrics)
    this.#parts.report.restartClock(nowMs)
    this.#parts.trace.over('evaluation', step, shown.seconds)
    this.#parts.metrics.evaluation(shown)
    this.#parts.emit({ type: 'evaluation', ...shown })
  }

  /** Begins to write and comes back; the averager keeps the version until it is written. */
  async #writeCheckpoint({ version, schedule, best }: RunEffect & { type: 'writeCheckpoint' }): Promise<void> {
    const { preparation, services, membership, metrics, emit, trace } = this.#parts
    const startMs = performance.now()
    const { directory, recipe, network, preprocessing, dataDigest, recipeDigest } = preparation
    invariant(version === this.#state.version, 'a checkpoint is of the committed version')
    const path = directory.checkpointPath(version)
    // a run that goes on from this checkpoint finds the metrics of every step before it
    await metrics.flush()
    const metadata = {
      ...{ format: 1 as const, step: version, run: directory.id, seed: recipe.seed, recipe, network, schedule, dataDigest, recipeDigest },
      preprocessing: { ...preprocessing },
      fingerprint: membership.engine?.fingerprint ?? '',
      ...(this.#evaluated?.version === version ? { metrics: this.#evaluated.metrics } : {}),
    }
    const write = async (): Promise<void> => {
      const { stateDigest } = await services.averager.writeCheckpoint(path, metadata, stateSuffix(schedule, version))
      await directory.linkLatest(version)
      if (best) await directory.linkBest(version)
      await directory.keep(recipe.run.checkpoint.keep)
      trace.over('checkpoint', version, (performance.now() - startMs) / 1000)
      emit({ type: 'checkpoint', step: version, path, stateDigest })
      this.dispatch({ type: 'checkpointWritten', version })
    }
    write().catch((error: unknown) => {
      this.fail(error)
    })
  }
}
