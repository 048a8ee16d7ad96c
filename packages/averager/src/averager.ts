import { EventEmitter } from 'node:events'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { StateDigests } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import type { UnsealedMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { isStatistic, slicesOf, type ParameterEntry, type ParameterLayout, type Slice } from '@lockstep/shared/parameters/layout.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { Span, TracedSteps } from '@lockstep/shared/trace/span.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import { AskingThread } from './asking-thread.js'
import { OUTCOMES, type Outcome } from './contribution-check.js'
import { CopyTally } from './copy-tally.js'
import type { LeafCopy, StepAudits } from './leaf-copies.js'
import { GradientNorm } from './gradient-norm.js'
import { LeafTally } from './leaf-tally.js'
import { updateRangesOf } from './slice-update.js'
import type {
  FrozenState,
  SliceEvent,
  SliceLeafCopy,
  SliceNews,
  SliceReady,
  SliceRequest,
  SliceThreadData,
  StateRequest,
  StateThreadData,
} from './thread-messages.js'
import { sideOf, type Side, type StateKind } from './version-buffers.js'

export interface AveragerOptions {
  readonly run: string
  readonly term: number
  /** What is trained. */
  readonly layout: ParameterLayout
  /** The rest of the network, for digests and checkpoints; left out where everything is trained. */
  readonly frozen?: FrozenState | undefined
  /** M, the leaves of a step. */
  readonly leaves: number
  /** Micro-batches of a step: M · k. */
  readonly microBatches: number
  readonly optimizer: Recipe['optimizer']
  /** Slices wanted; a short vector gets fewer. */
  readonly slices: number
  readonly host: string
  readonly insecureNetwork: boolean
  /** What bodies are; float32 by default. */
  readonly precision?: Recipe['run']['exchange']['precision']
  /** The steps of which `spans` tells; none by default. */
  readonly traced?: TracedSteps | undefined
}

interface AveragerEvents {
  /** These leaves of the step are now covered on every chunk of every slice. Each leaf is told once a step. */
  covered: [{ readonly step: number; readonly first: number; readonly count: number }]
  /**
   * The provisional version is whole: commit it or drop it. `finite`: loss, weights and velocity all are. If they are not,
   * `nonFiniteParameter` is the last one in layout order with a weight that is not: the first that the backward pass met.
   */
  reduced: [NodeStatistics & { readonly step: number; readonly finite: boolean; readonly nonFiniteParameter: string | null }]
  /** An audited leaf is whole on every slice, from one worker or in the sum: two of the same leaf are there to be compared. */
  copied: [LeafCopy & { readonly step: number }]
  /** What a slice did when, on this machine's monotonic clock. */
  spans: [readonly Span[]]
  /** A thread of the averager ended unasked: the run cannot go on. */
  error: [Error]
}

type SliceThread = AskingThread<SliceRequest, SliceNews>

interface RunningSlice extends SliceReady {
  readonly slice: Slice
  readonly thread: SliceThread
}

/**
 * The parameter-averaging service, as the coordinator's main thread sees it. Every slice is a thread with its own gRPC
 * server and memory; one more thread hashes and writes checkpoints. Nothing large passes through the main thread.
 */
export class Averager extends EventEmitter<AveragerEvents> {
  readonly #options: AveragerOptions
  readonly #slices: RunningSlice[] = []
  readonly #counters = new Int32Array(new SharedArrayBuffer(OUTCOMES.length * Int32Array.BYTES_PER_ELEMENT))
  /** Microseconds that the slices have worked. */
  readonly #busy = new BigUint64Array(new SharedArrayBuffer(BigUint64Array.BYTES_PER_ELEMENT))
  #leaves: LeafTally
  #copies: CopyTally
  /** Only where gradients are clipped. */
  #norm: GradientNorm | undefined
  #stateThread: AskingThread<StateRequest> | undefined
  readonly #stateWork = new Set<Promise<unknown>>()
  #opened = -1
  #committed = -1
  #attempt = 0
  #reducedSlices = 0
  #finite = true
  #statistics: NodeStatistics | undefined
  #closing = false
  #abandoned = false

  private constructor(options: AveragerOptions) {
    super()
    this.#options = options
    this.#leaves = new LeafTally(options.leaves, 1)
    this.#copies = new CopyTally(1)
  }

  /** Starts the slices' threads and servers. @throws TrainError MEMORY, NETWORK, PORT_TAKEN */
  static async start(options: AveragerOptions): Promise<Averager> {
    const averager = new Averager(options)
    const threads: SliceThread[] = []
    try {
      const slices = slicesOf(options.layout.size, options.slices)
      averager.#leaves = new LeafTally(options.leaves, slices.length)
      averager.#copies = new CopyTally(slices.length)
      const { clipNorm } = options.optimizer
      if (clipNorm !== undefined) averager.#norm = new GradientNorm(clipNorm, slices.length)
      const starting = slices.map(async (slice): Promise<RunningSlice> => {
        const thread = averager.#startSlice(slice)
        threads.push(thread)
        return { slice, thread, ...((await thread.ask({ type: 'start' })) as SliceReady) }
      })
      averager.#slices.push(...(await Promise.all(starting)))
      return averager
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.close()))
      throw error
    }
  }

  #startSlice(slice: Slice): SliceThread {
    const { run, term, leaves, microBatches, layout, optimizer, host, insecureNetwork, traced, precision } = this.#options
    const updateRanges = updateRangesOf(layout, slice, optimizer)
    const { momentum, nesterov, clipNorm } = optimizer
    const update = { momentum, nesterov, clips: clipNorm !== undefined, updateRanges, ...bodiesOf(precision) }
    const options = { run, term, leaves, slice, microBatches, ...update }
    const data: SliceThreadData = { options, host, insecureNetwork, counters: this.#counters.buffer, busy: this.#busy.buffer, traced }
    const onNews = (news: SliceNews): void => {
      if (news.type === 'spans') this.emit('spans', news.spans)
      else this.#onSliceEvent(news, slice.index)
    }
    const onEnd = (error: Error): void => {
      // before all slices run, the one who starts them is told
      if (this.#slices.length > 0) this.emit('error', error)
    }
    return new AskingThread(new URL('slice-thread.js', import.meta.url), data, onNews, onEnd)
  }

  #onSliceEvent(event: SliceEvent | SliceLeafCopy, slice: number): void {
    if (event.attempt !== this.#attempt) return
    const step = this.#committed
    if (event.type === 'covered') {
      for (const range of this.#leaves.add(event)) this.emit('covered', { step, ...range })
      return
    }
    if (event.type === 'copied') {
      const copy = this.#copies.add(event.copy, slice)
      if (copy !== undefined) this.emit('copied', { step, ...copy })
      return
    }
    if (event.type === 'gathered') {
      const factor = this.#norm?.add(slice, event.sums)
      if (factor !== undefined) this.#updateAll(factor)
      return
    }
    this.#reducedSlices++
    this.#finite &&= event.finite
    this.#statistics ??= event.statistics
    if (this.#reducedSlices < this.#slices.length) return
    invariant(this.#statistics !== undefined, 'slice 0 brings the statistics of a step')
    const nonFiniteParameter = this.#finite ? null : this.#lastNonFiniteParameter()
    this.emit('reduced', { step, ...this.#statistics, finite: this.#finite, nonFiniteParameter })
  }

  /** The norm phase: all slices have their whole gradient, and none has updated anything. A step dropped meanwhile is dropped after it. */
  #updateAll(factor: number): void {
    this.#askAll({ type: 'update', factor }).catch((error: unknown) => {
      if (!this.#closing) this.emit('error', error instanceof Error ? error : new Error(String(error)))
    })
  }

  /** Looks through the provisional version, which nobody writes to any more: parameters from the last, then batch statistics. */
  #lastNonFiniteParameter(): string | null {
    const views = [...this.#views('weights', sideOf(this.#committed + 1, this.#opened))]
    const { entries } = this.#options.layout
    const isBroken = ({ offset, size }: ParameterEntry): boolean =>
      views.some(({ slice, view }) => {
        const from = Math.max(offset, slice.offset)
        const to = Math.min(offset + size, slice.offset + slice.size)
        return from < to && !view.subarray(from - slice.offset, to - slice.offset).every(Number.isFinite)
      })
    const entry = entries.findLast((one) => !isStatistic(one.kind) && isBroken(one)) ?? entries.findLast(isBroken)
    return entry?.name ?? null
  }

  /** host:port of each slice. */
  get addresses(): string[] {
    const host = this.#options.host.includes(':') ? `[${this.#options.host}]` : this.#options.host
    return this.#slices.map(({ port }) => `${host}:${String(port)}`)
  }

  /** The newest committed version; −1 before `open`. */
  get committed(): number {
    return this.#committed
  }

  /** Writes elements of the flat vector, before `open`. Velocity is zero by default. @param offset in elements */
  write(kind: StateKind, offset: number, values: Float32Array): void {
    invariant(this.#opened === -1, 'state is written before the averager is opened')
    for (const { slice, view } of this.#views(kind, 0)) {
      const from = Math.max(offset, slice.offset)
      const to = Math.min(offset + values.length, slice.offset + slice.size)
      if (from < to) view.set(values.subarray(from - offset, to - offset), from - slice.offset)
    }
  }

  /** A copy of elements of the committed version. @param offset in elements; @param count elements */
  read(kind: StateKind, offset: number, count: number): Float32Array {
    const values = new Float32Array(count)
    for (const { slice, view } of this.#views(kind, this.#opened === -1 ? 0 : this.#side)) {
      const from = Math.max(offset, slice.offset)
      const to = Math.min(offset + count, slice.offset + slice.size)
      if (from < to) values.set(view.subarray(from - slice.offset, to - slice.offset), from - offset)
    }
    return values
  }

  *#views(kind: StateKind, side: Side): Generator<{ slice: Slice; view: Float32Array }> {
    for (const { slice, memory, buffers } of this.#slices)
      yield { slice, view: new Float32Array(memory.buffer, buffers[kind][side], slice.size) }
  }

  /** The side of the committed version. */
  get #side(): Side {
    return sideOf(this.#committed, this.#opened)
  }

  /** Declares what was written to be this version, and serves it. */
  async open(version: number): Promise<void> {
    invariant(this.#opened === -1, 'an averager is opened once')
    this.#opened = version
    this.#committed = version
    await this.#askAll({ type: 'open', version })
  }

  /**
   * Begins the step that reads version `step`, which must be the committed one; contributions for it were FUTURE_STEP before.
   * @param rate ε, rounded to float32 once
   * @param audits leaves to be compared, and memberships that do not count any more; none by default
   */
  async beginStep(step: number, rate: number, audits?: StepAudits): Promise<void> {
    invariant(step === this.#committed, 'a step begins from the committed version')
    this.#attempt++
    this.#leaves.clear()
    this.#copies.clear()
    this.#norm?.clear()
    this.#reducedSlices = 0
    this.#finite = true
    this.#statistics = undefined
    await this.#askAll({ type: 'beginStep', step, rate, attempt: this.#attempt, audits })
  }

  /** Makes the provisional version, whole, the committed one. */
  async commit(version: number): Promise<void> {
    invariant(
      version === this.#committed + 1 && this.#reducedSlices === this.#slices.length,
      'only a whole provisional version is committed',
    )
    this.#committed = version
    this.#reducedSlices = 0
    // what slices tell from now on until the next step begins is of the step that is over
    this.#attempt++
    await this.#askAll({ type: 'commit', version })
  }

  /** Forgets the provisional version; its streams end with ABORTED. After it the step may begin again. */
  async drop(version: number): Promise<void> {
    invariant(version === this.#committed + 1, 'only the provisional version is dropped')
    this.#attempt++
    this.#reducedSlices = 0
    await this.#askAll({ type: 'drop', version })
  }

  /**
   * Leaves an update out: the next version is the committed one once more, weights and velocity. After {@link drop}, when no step runs.
   * @param version the next one, committed from now
   */
  async skip(version: number): Promise<void> {
    invariant(version === this.#committed + 1, 'the version that is skipped to is the next one')
    this.#committed = version
    this.#attempt++
    this.#reducedSlices = 0
    await this.#askAll({ type: 'skip', version })
  }

  async #askAll(request: SliceRequest): Promise<void> {
    await Promise.all(this.#slices.map(({ thread }) => thread.ask(request)))
  }

  /**
   * The digests of the committed version. The next steps may go on meanwhile.
   * @param suffix what the state digest ends with
   */
  async digest(version: number, suffix: Uint8Array): Promise<StateDigests> {
    invariant(version === this.#committed, 'only the committed version has a digest')
    return (await this.#askState({ type: 'digest', side: this.#side, suffix })) as StateDigests
  }

  /**
   * Writes the version committed at the call as a checkpoint. The next steps may go on; the one that would overwrite it waits.
   * @throws TrainError DISK
   */
  async writeCheckpoint(path: string, metadata: UnsealedMetadata, suffix: Uint8Array): Promise<StateDigests & { bytes: number }> {
    invariant(metadata.step === this.#committed, 'a checkpoint holds the committed version')
    return (await this.#askState({ type: 'checkpoint', side: this.#side, suffix, path, metadata })) as StateDigests & { bytes: number }
  }

  /** Pins the side that the request reads until it has been answered. */
  async #askState(request: StateRequest): Promise<unknown> {
    this.#stateThread ??= this.#startStateThread()
    // messages to a slice keep their order: the pin is there before any later beginStep
    const work = Promise.all([this.#stateThread.ask(request), this.#askAll({ type: 'pin', side: request.side })])
    this.#stateWork.add(work)
    try {
      return (await work)[0]
    } finally {
      this.#stateWork.delete(work)
      if (!this.#closing) await this.#askAll({ type: 'unpin', side: request.side })
    }
  }

  #startStateThread(): AskingThread<StateRequest> {
    const slices = this.#slices.map(({ memory, buffers, slice }) => ({ memory, buffers, size: slice.size }))
    const data: StateThreadData = { slices, layout: this.#options.layout, frozen: this.#options.frozen }
    const ignore = (): void => undefined
    return new AskingThread(new URL('state-thread.js', import.meta.url), data, ignore, (error) => {
      this.emit('error', error)
    })
  }

  /** Contributions so far, by outcome, over all slices. */
  counters(): Record<Outcome, number> {
    return Object.fromEntries(OUTCOMES.map((outcome, index) => [outcome, Atomics.load(this.#counters, index)])) as Record<Outcome, number>
  }

  /** Seconds that the slices have spent on contributions, in all: taking them in, adding, updating. */
  get busySeconds(): number {
    return Number(Atomics.load(this.#busy, 0)) / 1e6
  }

  /** There is no time left: {@link close} waits neither for a checkpoint being written nor for the thread that writes it. */
  abandonStateWork(): void {
    this.#abandoned = true
    this.#stateWork.clear()
  }

  /** Ends servers and threads, breaking streams off. A checkpoint being written is finished first, unless it was abandoned. */
  async close(): Promise<void> {
    this.#closing = true
    if (!this.#abandoned) await Promise.allSettled(this.#stateWork)
    await Promise.all(this.#slices.map(({ thread }) => thread.close()))
    const ended = this.#stateThread?.close()
    if (!this.#abandoned) await ended
  }
}

/** What is rounded cannot be read where it is not. */
function bodiesOf(precision: AveragerOptions['precision']): { narrow: boolean; shares: boolean } {
  const narrow = precision === 'bfloat16'
  return { narrow, shares: !narrow }
}
