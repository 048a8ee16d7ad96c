import { randomBytes } from 'node:crypto'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { chunksOf, type Slice } from '@lockstep/shared/parameters/layout.js'
import type { BulkCall } from '@lockstep/shared/bulk/bulk-connection.js'
import type { WeightsRequest } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsRequest.js'
import type { WeightsChunk__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsChunk.js'
import { MemoryFile, MemoryReader } from '@lockstep/shared/shared-memory/memory-file.js'
import { copyBytes } from '@lockstep/shared/shared-memory/native-memory.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import { OWN_REGION, type WeightsMemory } from '../compute/weights-memory.js'
import { backOffMs, type BackOffLimits } from '../membership/back-off.js'
import type { ExchangeOptions } from './exchange.js'
import { chunkOf } from './node-chunks.js'
import { PlainVector, VersionPlace, WideningVector, type ReceivedVector } from './received-vector.js'
import type { SliceLink } from './slice-link.js'

/** A slice that answers with nothing but errors for this long cannot be reached. */
const RETRY: BackOffLimits = { firstMs: 50, mostMs: 1000, limitMs: 10_000 }

/**
 * Receives weights versions straight into the one weights' memory of the worker. One version at a time: asking for another
 * gives up what was under way. A version may be provisional; {@link forget} says that it never was.
 */
export class WeightsReceiver {
  /** Bytes of weights received since the receiver was made. */
  bytesReceived = 0
  private fetch: WeightsFetch | undefined
  private readonly vector: ReceivedVector
  private readonly spans: SpanRecorder
  private readonly sharing: Sharing

  constructor(
    private readonly identity: { readonly run: string; readonly term: number },
    private readonly slices: readonly Slice[],
    private readonly links: readonly SliceLink[],
    weights: WeightsMemory,
    { shareMemory = true, narrow = false, spans = new SpanRecorder(0) }: ExchangeOptions = {},
  ) {
    this.vector = narrow ? new WideningVector(weights) : new PlainVector(weights)
    this.sharing = new Sharing(shareMemory)
    this.spans = spans
  }

  /** Starts to receive a version, if it is not here or under way already. The vector must not be in use. */
  want(version: number): void {
    if (this.fetch?.version === version && !this.fetch.failed) return
    this.fetch?.cancel()
    this.fetch = new WeightsFetch(version, this.identity, this.slices, this.links, this.sharing, this.spans, this.vector, (bytes) => {
      this.bytesReceived += bytes
    })
  }

  /**
   * Resolves when the whole version is there.
   * @returns the region of the weights' memory that it is in
   * @throws TrainError NETWORK if a slice cannot be reached; INTERRUPTED if the version was forgotten or another was asked for
   */
  async receive(version: number): Promise<number> {
    this.want(version)
    await this.fetch?.whole
    return this.fetch?.region ?? OWN_REGION
  }

  /** The version never was, or the membership is over: what was received of it is not used. */
  forget(version: number): void {
    if (this.fetch?.version === version) this.forgetAll()
  }

  close(): void {
    this.forgetAll()
    this.sharing.close()
  }

  /** Nothing that was received, whatever its version, is used. */
  forgetAll(): void {
    this.fetch?.cancel()
    this.fetch = undefined
  }
}

/** What shows a slice that we see the same memory, and reads what it hands out there. */
class Sharing {
  readonly reader = new MemoryReader()
  private readonly file: MemoryFile | undefined
  private readonly proof = randomBytes(32)
  private refused = false

  constructor(wanted: boolean) {
    this.file = wanted ? MemoryFile.create() : undefined
    this.file?.write(this.proof, 0)
  }

  /** What a request says; nothing when bodies are to travel inline. */
  get offer(): { proofPath?: string; proofInode?: number; proof?: Buffer } {
    return this.file === undefined || this.refused ? {} : { proofPath: this.file.path, proofInode: this.file.inode, proof: this.proof }
  }

  /** The slice sees our memory, but we do not see its: bodies travel inline from now on. */
  refuse(): void {
    this.refused = true
  }

  close(): void {
    this.file?.close()
    this.reader.close()
  }
}

/** One version on its way from all slices. */
class WeightsFetch {
  failed = false
  readonly whole: Promise<void>
  /** Where the version is. */
  get region(): number {
    return this.place.region
  }

  private readonly place: VersionPlace
  private readonly calls = new Set<BulkCall<WeightsChunk__Output, WeightsRequest>>()
  private readonly timers = new Set<NodeJS.Timeout>()
  private missing: number
  private resolve!: () => void
  private reject!: (error: Error) => void

  constructor(
    readonly version: number,
    private readonly identity: { readonly run: string; readonly term: number },
    slices: readonly Slice[],
    private readonly links: readonly SliceLink[],
    private readonly sharing: Sharing,
    private readonly spans: SpanRecorder,
    private readonly vector: ReceivedVector,
    /** Told of the bytes of every chunk. */
    private readonly received: (bytes: number) => void,
  ) {
    this.missing = slices.length
    this.place = new VersionPlace(version, vector)
    this.whole = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.whole.catch(() => undefined) // a version asked for ahead may have nobody who waits for it yet
    for (const slice of slices) this.open(slice, 0, performance.now())
  }

  cancel(): void {
    this.stop(new TrainError('INTERRUPTED', `weights version ${String(this.version)} is no longer wanted`))
  }

  private stop(error: Error): void {
    if (this.missing > 0) this.failed = true
    for (const timer of this.timers) clearTimeout(timer)
    for (const call of this.calls) call.cancel()
    this.calls.clear()
    this.reject(error)
  }

  private open(slice: Slice, attempt: number, sinceMs: number): void {
    const link = this.links[slice.index]
    if (link === undefined || this.failed) return
    const received = new Set<number>()
    let startUs = 0
    const call = link.weights({ ...this.identity, version: this.version, ...this.sharing.offer })
    this.calls.add(call)
    call.on('data', (chunk) => {
      if (!this.calls.has(call)) return
      const place = chunkOf(slice, chunk.chunk)
      const length = chunk.shared?.bytes ?? chunk.body.length
      const expected = place.floats * this.vector.elementBytes
      if (length !== expected) {
        this.stop(
          new TrainError(
            'INTERNAL',
            `chunk ${String(chunk.chunk)} of slice ${String(slice.index)} has ${String(length)} bytes instead of ${String(expected)}`,
          ),
        )
        return
      }
      if (received.size === 0) startUs = this.spans.now()
      this.received(length)
      const { shared } = chunk
      const filled =
        shared === null
          ? this.place.copy(place, (part) => {
              copyBytes(part, chunk.body)
              return true
            })
          : this.place.map(slice, place, shared) || this.place.copy(place, (part) => this.sharing.reader.read(shared, part))
      if (!filled) {
        this.sharing.refuse()
        call.cancel()
        return
      }
      if (shared !== null) link.sharesMemory = true
      received.add(chunk.chunk)
      if (received.size < chunksOf(slice)) return
      const track = `receive from slice ${String(slice.index)}`
      this.spans.add({ track, kind: 'receive', name: `weights ${String(this.version)}`, step: this.version }, startUs)
      this.finished(call)
    })
    const ended = (reason: string): void => {
      if (!this.calls.delete(call)) return
      // chunks came: the slice is there, so patience starts again
      const again = received.size > 0 ? { attempt: 1, sinceMs: performance.now() } : { attempt: attempt + 1, sinceMs }
      this.retry(slice, again.attempt, again.sinceMs, reason)
    }
    call.on('error', ({ details }) => {
      ended(details)
    })
    call.on('end', () => {
      ended('the averager ended the stream early')
    })
  }

  private finished(call: BulkCall<WeightsChunk__Output, WeightsRequest>): void {
    this.calls.delete(call)
    this.missing--
    if (this.missing === 0) this.resolve()
  }

  private retry(slice: Slice, attempt: number, sinceMs: number, reason: string): void {
    const waitMs = backOffMs(RETRY, attempt, performance.now() - sinceMs)
    if (waitMs === undefined) {
      this.stop(
        new TrainError(
          'NETWORK',
          `averager slice ${String(slice.index)} does not hand out weights version ${String(this.version)} (${reason}); the worker leaves`,
        ),
      )
      return
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer)
      this.open(slice, attempt, sinceMs)
    }, waitMs)
    this.timers.add(timer)
  }
}
