import type { EvaluationBatch } from '@lockstep/data/evaluation-batch.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { EvaluationJob, Job, SpanJob } from '@lockstep/shared/protocol/jobs.js'
import type { WorkerMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { ComputeClient } from '../compute/compute-client.js'
import type { MicroBatch } from '../compute/compute-messages.js'
import { evaluateBatch } from '../evaluation/batch-evaluation.js'
import type { Exchange } from '../exchange/exchange.js'
import type { Prefetch } from '../loader/prefetch.js'
import { positionsOf, type BatchGeometry } from '../loader/span-batches.js'
import type { WorkerLog } from '../worker-log.js'
import type { SlotPool } from './slot-pool.js'
import { EarlySpan } from './early-span.js'
import { SpanWork } from './span-work.js'

export interface SpanLoopOptions {
  readonly term: number
  readonly batch: BatchGeometry
  /** M */
  readonly leaves: number
  readonly compute: ComputeClient
  readonly exchange: Exchange
  readonly slots: SlotPool
  readonly training: Prefetch<MicroBatch>
  readonly evaluation: Prefetch<EvaluationBatch>
  /** Says something to the coordinator. */
  readonly tell: (message: WorkerMessage) => void
  readonly log: WorkerLog
  /** Whether nodes travel as bfloat16; left out: float32. */
  readonly narrow?: boolean
  /** Whether the next weights are asked for before they are committed, and the next span begun before its job is here. Default: true. */
  readonly overlap?: boolean
  /** Where it is noted what was done when. */
  readonly spans?: SpanRecorder
}

/** What a job in hand listens to. */
interface InHand {
  /** The weights it is computed from: it is out of date once a newer version is committed. */
  readonly version: number
  readonly work: SpanWork | undefined
  /** Ends what it waits for. */
  readonly abort: AbortController
  /** Set if it was begun before its job came. */
  readonly early: EarlySpan | undefined
}

/** One job at a time: its waits lie within it. */
const JOB = { track: 'job' }

/**
 * Does the worker's jobs, one at a time, for one membership: weights, gradients, nodes, evaluation batches. What the
 * queue brings is checked against term and step, since a queue may bring anything again.
 */
export class SpanLoop {
  /** Counters of the membership; they only grow. Evaluation counts by forward passes: a batch of many views may take minutes. */
  readonly counters = { step: 0, leavesFinished: 0, evaluationBatchesFinished: 0 }
  /** Rejects with the first error that ends the membership; never resolves. */
  readonly failed: Promise<never>
  private fail!: (error: unknown) => void
  private inHand: InHand | undefined
  /** What is done before its job is here. */
  private early: EarlySpan | undefined
  private committed = 0
  /** Provisional versions that were dropped, as far as we heard. */
  private drops = 0
  /** The newest step of which a span was done. */
  private finished = -1
  /** The version the engine holds. */
  private engineVersion: number | undefined
  private stopped = false
  /** Bytes of the exchange that the coordinator has heard of. */
  private told = { sent: 0, received: 0 }
  /** Wakes the job in hand when a version is final. */
  private onFinal: () => void = () => undefined
  private idle: Promise<void> = Promise.resolve()
  private readonly spans: SpanRecorder
  /** When the last job was over. */
  private idleSinceUs = 0

  constructor(private readonly options: SpanLoopOptions) {
    this.spans = options.spans ?? new SpanRecorder(0)
    this.failed = new Promise((_, reject) => {
      this.fail = reject
    })
    this.failed.catch(() => undefined)
  }

  /** Does one job. Never throws: what goes wrong ends the membership through {@link failed}. */
  async run(job: Job): Promise<void> {
    const turn = this.idle.then(async () => {
      await this.runOne(job)
    })
    this.idle = turn
    await turn
  }

  /** Weights `version` are final: work for older ones is over. */
  onCommitted(version: number): void {
    this.committed = Math.max(this.committed, version)
    this.options.slots.takeBack(this.committed)
    this.onFinal()
    const { inHand } = this
    if (inHand !== undefined && inHand.version < this.committed) this.abandon(inHand, 'the step is over')
  }

  /** The provisional version never was. @param drops how many were dropped in this term, this one included */
  onDropped(version: number, drops: number): void {
    if (drops <= this.drops) return // a job has said so, and what came since is of the version made anew
    this.drops = drops
    this.options.slots.takeBack(version)
    this.options.exchange.weights.forget(version)
    if (this.engineVersion === version) this.engineVersion = undefined
    if (this.inHand?.version === version) this.abandon(this.inHand, 'its weights were dropped')
  }

  /** Leaves that are no longer wanted. */
  onWithdraw(step: number, leaves: LeafRange): void {
    const { inHand } = this
    if (inHand?.work === undefined || inHand.version !== step) return
    inHand.work.withdraw(leaves)
    if (inHand.work.isEmpty) this.abandon(inHand, 'it was withdrawn')
  }

  /** Ends the job in hand after the micro-batch in hand, and takes no more. The exchange must be closed with it. */
  async stop(): Promise<void> {
    this.stopped = true
    if (this.inHand !== undefined) this.abandon(this.inHand, 'the membership is over')
    await this.idle
    await this.early?.over
  }

  private abandon(inHand: InHand, reason: string): void {
    if (inHand.abort.signal.aborted) return
    this.options.log.info({ version: inHand.version, reason }, 'giving up the job in hand')
    inHand.work?.abandon()
    inHand.early?.refuse()
    inHand.abort.abort(new TrainError('INTERRUPTED', reason))
    this.options.exchange.dropWaiting()
  }

  private async runOne(job: Job): Promise<void> {
    const version = job.kind === 'span' ? job.step : job.version
    const stale =
      job.term !== this.options.term ? 'another term' : version < this.committed && version !== this.engineVersion ? 'past' : undefined
    if (this.stopped || stale !== undefined) {
      this.options.log.info({ job, stale: stale ?? 'stopped' }, 'dropping a job that is out of date')
      return
    }
    this.forgetDropped(job)
    const { early } = this
    this.early = undefined
    if (early?.take(job) === true) await early.over
    else {
      if (early !== undefined && this.inHand !== undefined) this.abandon(this.inHand, 'another job came')
      await early?.over
      await this.perform(job)
    }
    if (job.kind === 'span') this.beginEarly(job)
  }

  /** Begins the span that will likely be asked for next. */
  private beginEarly({ hint, term, step }: SpanJob): void {
    const { overlap = true, narrow = false } = this.options
    // a residual goes from node to node: what is not sent must not leave one
    if (this.stopped || !overlap || narrow || hint?.begin !== true || this.finished !== step) return
    const early = new EarlySpan({ kind: 'span', term, step: hint.step, first: hint.first, count: hint.count, hint: null })
    this.early = early
    early.over = this.perform(early.job, early)
  }

  private async perform(job: Job, early?: EarlySpan): Promise<void> {
    const version = job.kind === 'span' ? job.step : job.version
    try {
      const name = job.kind === 'span' ? `step ${String(version)}` : `evaluation of version ${String(version)}`
      if (early === undefined) this.spans.add({ ...JOB, kind: 'wait', name: 'wait for a job', step: version }, this.idleSinceUs)
      await this.spans.time({ ...JOB, kind: 'job', name, step: version }, async () => {
        if (job.kind === 'span') await this.runSpan(job, early)
        else await this.runEvaluation(job)
      })
    } catch (error) {
      if (this.isGivenUp || isInterruption(error)) {
        this.options.log.info({ version, reason: error instanceof Error ? error.message : String(error) }, 'the job was given up')
      } else this.fail(error)
    } finally {
      this.idleSinceUs = this.spans.now()
      this.inHand = undefined
    }
  }

  /** A job can come before the message that a version was dropped, and the weights in hand may be that version. */
  private forgetDropped({ drops = 0 }: Job): void {
    if (drops <= this.drops) return
    this.drops = drops
    this.options.slots.takeBack()
    this.options.exchange.weights.forgetAll()
  }

  private get isGivenUp(): boolean {
    return this.stopped || this.inHand?.abort.signal.aborted === true
  }

  private async runSpan(job: SpanJob, early: EarlySpan | undefined): Promise<void> {
    const { batch, leaves, compute, exchange, slots, training, tell, log, narrow = false, overlap = true } = this.options
    const { step, first, count, hint, term } = job
    if (step < this.committed) {
      log.info({ step, first, count }, 'dropping a span of a step that is over')
      return
    }
    training.plan([...positionsOf(batch, step, job), ...(hint === null ? [] : positionsOf(batch, hint.step, hint))])
    early?.onTaken((next) => {
      training.planMore(positionsOf(batch, next.step, next))
    })
    const work = new SpanWork(
      {
        ...{ batch, leaves, compute, slots },
        take: async (position) => await training.take(position),
        send: async (node) => await exchange.send(node),
        mayLend: () => !narrow && exchange.mayLend,
        narrow: narrow ? async (slot) => await compute.narrow(slot) : undefined,
        wanted: early?.wanted,
        wait: async (name, what) => await this.spans.time({ ...JOB, kind: 'wait', name, step }, what),
        leafFinished: () => {
          this.counters.leavesFinished++
        },
      },
      job,
    )
    const inHand = { version: step, work, abort: new AbortController(), early }
    this.inHand = inHand
    await this.untilFinal(step, inHand.abort.signal)
    this.counters.step = step
    const weightsSeconds = await this.setWeights(step, inHand.abort.signal)
    const outcome = await work.run(() => {
      if (overlap) exchange.weights.want(step + 1)
    })
    // the last acknowledgement and the commit it led to travel on different connections: what was taken counts
    if (outcome.stale || (inHand.abort.signal.aborted && outcome.leaves === 0)) {
      log.info({ step, first, count, computed: outcome.leaves }, 'the step was over before the span was')
      return
    }
    this.finished = step
    const { loadSeconds, computeSeconds, sendSeconds } = outcome
    const seconds = { loadSeconds, weightsSeconds, computeSeconds, sendSeconds }
    tell({ spanFinished: { term, step, firstLeaf: first, leafCount: outcome.leaves, ...seconds, ...this.bytesSinceLast() } })
    log.debug({ step, first, count: outcome.leaves, ...seconds }, 'span finished')
  }

  /** What was exchanged since it was asked last. */
  private bytesSinceLast(): { readonly bytesSent: number; readonly bytesReceived: number } {
    const { bytesAcknowledged: sent, weights } = this.options.exchange
    const received = weights.bytesReceived
    const since = { bytesSent: sent - this.told.sent, bytesReceived: received - this.told.received }
    this.told = { sent, received }
    return since
  }

  private async runEvaluation(job: EvaluationJob): Promise<void> {
    const { compute, evaluation, tell } = this.options
    const { term, version, first, count } = job
    const inHand = { version, work: undefined, abort: new AbortController(), early: undefined }
    this.inHand = inHand
    const batches = Array.from({ length: count }, (_, index) => first + index)
    evaluation.plan(batches)
    await this.untilFinal(version, inHand.abort.signal)
    await this.setWeights(version, inHand.abort.signal)
    for (const batch of batches) {
      const input = await this.wait('wait for input', version, () => evaluation.take(batch))
      if (inHand.abort.signal.aborted) return
      const { lossSum, samples, correctTop1, correctTop5 } = await evaluateBatch(compute, input, {
        onForward: () => this.counters.evaluationBatchesFinished++,
        signal: inHand.abort.signal,
      })
      tell({ evaluationResult: { term, version, batch, samples, correctTop1, correctTop5, lossSum } })
    }
  }

  /**
   * Jobs and notices travel on different connections. What was received of a version before it was final may have been
   * dropped since, and on the connection of notices the word of that comes before the commit.
   */
  private async untilFinal(version: number, signal: AbortSignal): Promise<void> {
    if (this.committed >= version) return
    const final = new Promise<void>((resolve) => {
      this.onFinal = () => {
        if (this.committed >= version) resolve()
      }
    })
    await this.wait('wait for the commit', version, () => orAborted(final, signal))
  }

  private async wait<Value>(name: string, step: number, what: () => Promise<Value>): Promise<Value> {
    return await this.spans.time({ ...JOB, kind: 'wait', name, step }, what)
  }

  /** Puts a version into the engine. @returns seconds it took */
  private async setWeights(version: number, signal: AbortSignal): Promise<number> {
    if (this.engineVersion === version) return 0
    const startMs = performance.now()
    this.engineVersion = undefined
    const { exchange, compute } = this.options
    const region = await this.wait('wait for weights', version, () => orAborted(exchange.weights.receive(version), signal))
    await this.wait('wait for computing', version, () => compute.setWeights(region))
    if (!signal.aborted) this.engineVersion = version
    return (performance.now() - startMs) / 1000
  }
}

function isInterruption(error: unknown): boolean {
  return error instanceof TrainError && error.code === 'INTERRUPTED'
}

/** Waits for something, or throws the signal's reason. */
async function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted()
  return await new Promise<Value>((resolve, reject) => {
    const aborted = (): void => {
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', aborted)
    })
  })
}
