import { invariant } from '@lockstep/shared/errors/train-error.js'
import { NARROW_BYTES, type Arena } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS, chunksOf, type Slice } from '@lockstep/shared/parameters/layout.js'
import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import { copyBytes, copyOf } from '@lockstep/shared/shared-memory/native-memory.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import { ChunkCover } from './chunk-cover.js'
import { refusalOf, type Outcome } from './contribution-check.js'
import { LeafTally } from './leaf-tally.js'
import { LeafCopies, type LeafCopy, type StepAudits } from './leaf-copies.js'
import { NarrowWeights } from './narrow-weights.js'
import { DONE, PartialGradients, type Partial } from './partial-gradients.js'
import { cutRanges, parametersWithin, type UpdateRange } from './slice-update.js'
import { allocateBuffers, sideOf, type Side, type VersionBuffers, type VersionFiles } from './version-buffers.js'

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/** What a slice has to be told once. */
export interface SliceOptions {
  readonly run: string
  readonly term: number
  /** M. */
  readonly leaves: number
  readonly slice: Slice
  /** Micro-batches of a step: what batch statistics are averaged over. */
  readonly microBatches: number
  readonly momentum: number
  readonly nesterov: boolean
  /** The gradient may be scaled by its norm: chunks wait for {@link SliceState.update} until all of them are there. */
  readonly clips: boolean
  readonly updateRanges: readonly UpdateRange[]
  /** Bodies are bfloat16. Left out: float32. */
  readonly narrow?: boolean
  /** Workers on this machine may read the weights where they lie. Left out: they may not. */
  readonly shares?: boolean
}

/** What a slice tells. */
export interface SliceListener {
  /** These leaves are now covered on every chunk of the slice. */
  covered(range: LeafRange): void
  /** A chunk of the provisional version exists. */
  chunkUpdated(chunk: number): void
  /** Where gradients are clipped: the whole gradient of the slice is there. @param sums Σ g² of every chunk, batch statistics left out */
  gathered?(sums: readonly number[]): void
  /** The provisional version is whole. `statistics` on slice 0 only. */
  reduced(finite: boolean, statistics: NodeStatistics | undefined): void
  /** An audited leaf is whole on this slice, from one worker or in the sum. Needed only where leaves are audited. */
  copied?(copy: LeafCopy): void
}

const NO_AUDITS: StepAudits = { audited: [], quarantined: [] }

interface Pending {
  readonly chunk: number
  readonly node: LeafRange
}

/**
 * A slice of the parameter vector: weights and velocity of the committed version and of the provisional one that grows
 * from it, chunk by chunk, as contributions arrive. All calls are synchronous; the wire is elsewhere.
 */
export class SliceState {
  readonly buffers: VersionBuffers
  readonly chunks: number
  readonly #options: SliceOptions
  readonly #arena: Arena
  readonly #listener: SliceListener
  readonly #spans: SpanRecorder
  readonly #partials: PartialGradients
  readonly #files: VersionFiles
  /** Only where bodies are bfloat16. */
  readonly #narrow: NarrowWeights | undefined
  readonly #covers: ChunkCover<Partial>[]
  readonly #leaves: LeafTally
  readonly #copies: LeafCopies
  readonly #updated: Uint8Array
  /** Only where gradients are clipped: Σ g² of every chunk. */
  readonly #squares: number[] | undefined
  readonly #pins: [number, number] = [0, 0]
  #opened = 0
  #committed = -1
  #running = false
  #rate = 0
  #chunksLeft = 0
  #finite = true
  #statistics: NodeStatistics | undefined
  /** Nodes that arrived while the buffer to be written was pinned. */
  #pending: Pending[] = []

  /** @throws TrainError MEMORY */
  constructor(options: SliceOptions, arena: Arena, listener: SliceListener, spans = new SpanRecorder(0)) {
    this.#spans = spans
    this.#options = options
    this.#arena = arena
    this.#listener = listener
    this.chunks = chunksOf(options.slice)
    const { buffers, files } = allocateBuffers(arena, options.slice.size, options.shares === true)
    this.buffers = buffers
    this.#files = files
    this.#partials = new PartialGradients(arena, Math.min(CHUNK_FLOATS, options.slice.size))
    this.#covers = Array.from({ length: this.chunks }, () => new ChunkCover<Partial>(options.leaves))
    this.#leaves = new LeafTally(options.leaves, this.chunks)
    this.#copies = new LeafCopies(this.chunks)
    this.#updated = new Uint8Array(this.chunks)
    if (options.narrow === true) this.#narrow = new NarrowWeights(arena, options.slice.size)
    if (options.clips) this.#squares = new Array<number>(this.chunks).fill(0)
  }

  /** The newest committed version; −1 before `open`. */
  get committed(): number {
    return this.#committed
  }

  /** Declares what was written to side 0 to be this version. */
  open(version: number): void {
    invariant(this.#committed === -1, 'a slice is opened once')
    this.#opened = version
    this.#committed = version
    for (const range of this.#options.updateRanges) this.#narrow?.renew(0, this.buffers.weights[0], range, range.decay !== 'none')
  }

  /** From now contributions for `step` count. @param rate ε of this step */
  beginStep(step: number, rate: number, audits = NO_AUDITS): void {
    invariant(step === this.#committed && !this.#running, 'a step begins from its committed version, and once')
    this.#running = true
    this.#rate = rate
    this.#copies.begin(audits)
    this.#chunksLeft = this.chunks
    this.#finite = true
    this.#statistics = undefined
  }

  /** The provisional version becomes the committed one. */
  commit(version: number): void {
    invariant(
      version === this.#committed + 1 && this.#running && this.#updated.every((one) => one === 1),
      'only a whole provisional version is committed',
    )
    this.#committed = version
    this.#forget()
  }

  /** The provisional version never was. */
  drop(version: number): void {
    invariant(version === this.#committed + 1, 'only the provisional version is dropped')
    this.#forget()
  }

  /** The next version is the committed one once more: its update is left out. No step runs. */
  skip(version: number): void {
    invariant(version === this.#committed + 1 && !this.#running, 'an update is left out between two steps')
    const [from, to] = [sideOf(this.#committed, this.#opened), sideOf(version, this.#opened)]
    const { size } = this.#options.slice
    for (const buffers of [this.buffers.weights, this.buffers.velocity])
      copyBytes(this.#arena.bytes(buffers[to], size), this.#arena.bytes(buffers[from], size))
    this.#narrow?.copy(from, to)
    this.#committed = version
  }

  #forget(): void {
    this.#running = false
    this.#pending = []
    this.#updated.fill(0)
    this.#leaves.clear()
    for (const cover of this.#covers) for (const body of cover.clear()) this.#partials.release(body)
  }

  /** The buffers of a side are being read: nothing is written to them until `unpin`. */
  pin(side: Side): void {
    this.#pins[side]++
  }

  unpin(side: Side): void {
    this.#pins[side]--
    invariant(this.#pins[side] >= 0, 'only a pinned version is unpinned')
    if (this.#blocked) return
    const pending = this.#pending
    this.#pending = []
    for (const { chunk, node } of pending) this.#rise(chunk, node)
  }

  get #blocked(): boolean {
    return this.#pins[sideOf(this.#committed + 1, this.#opened)] > 0
  }

  /**
   * Takes in one chunk of one node, adds and updates what has become possible.
   * @param worker the member that sent it
   * @param lentAt where the body lies in the arena, if it stays there until the step is over; `body` is a view of it then
   * @param release called, once or more, when an accepted body that is not lent is read no more
   */
  contribute(contribution: Contribution__Output, worker = '', lentAt?: number, release?: () => void): Outcome {
    if (this.#copies.isQuarantined(worker)) return 'QUARANTINED'
    const refusal = refusalOf(contribution, {
      run: this.#options.run,
      term: this.#options.term,
      leaves: this.#options.leaves,
      committed: this.#committed,
      running: this.#running,
      chunks: this.chunks,
      statistics: this.#options.slice.index === 0,
      chunkBytes: (chunk) => this.#chunkFloats(chunk) * (this.#narrow === undefined ? FLOAT_BYTES : NARROW_BYTES),
    })
    if (refusal !== undefined) return refusal
    const { chunk, body, firstLeaf, leafCount } = contribution
    const cover = this.#cover(chunk)
    const node = { first: firstLeaf, count: leafCount }
    if (this.#copies.hides(node)) return 'MALFORMED'
    const statistics = this.#options.slice.index === 0 && chunk === 0 ? (contribution.statistics ?? undefined) : undefined
    const audited = this.#copies.isAudited(node)
    // what is compared is a copy: its worker could still change what it lent
    const partial: Partial =
      lentAt === undefined || audited
        ? { type: 'wire', bytes: lentAt === undefined ? body : copyOf(body), release, statistics, narrow: this.#narrow !== undefined }
        : { type: 'lent', offset: lentAt, statistics }
    const placement = cover.place(node, partial)
    const accepted = placement.outcome === 'accepted'
    const compared = partial.type === 'wire' ? partial.bytes : body
    const copies = audited ? this.#copies.add({ leaf: firstLeaf, chunk, worker, body: compared, statistics }, accepted) : []
    for (const copy of copies) this.#listener.copied?.(copy)
    if (!accepted) return 'DUPLICATE'
    for (const replaced of placement.replaced) this.#partials.release(replaced)
    for (const range of placement.covered) for (const complete of this.#leaves.add(range)) this.#listener.covered(complete)
    if (this.#blocked) this.#pending.push({ chunk, node })
    else this.#rise(chunk, node)
    return 'ACCEPTED'
  }

  /** Adds from `node` upwards, and updates the chunk when its tree is whole. */
  #rise(chunk: number, node: LeafRange): void {
    const cover = this.#cover(chunk)
    if (cover.root === DONE) return
    const floats = this.#chunkFloats(chunk)
    cover.rise(node, (left, right) => {
      const startUs = this.#spans.now()
      const sum = this.#partials.add(left, right, floats)
      this.#spans.add({ track: this.#track, kind: 'reduce', name: `add chunk ${String(chunk)}`, step: this.#committed }, startUs)
      return sum
    })
    if (cover.root === undefined) return
    const root = cover.replaceRoot(DONE)
    const sums = this.#partials.locate(root, floats, 0)
    if (this.#squares === undefined) this.#update(chunk, sums)
    else this.#squares[chunk] = this.#gather(chunk, sums)
    this.#partials.release(root)
    this.#takeStatistics(root)
    this.#chunksLeft--
    if (this.#squares === undefined) this.#listener.chunkUpdated(chunk)
    if (this.#chunksLeft > 0) return
    if (this.#squares === undefined) this.#listener.reduced(this.#finite, this.#statistics)
    else this.#listener.gathered?.(this.#squares)
  }

  #takeStatistics(root: Partial): void {
    if (root.type === 'done' || root.statistics === undefined) return
    this.#statistics = root.statistics
    this.#finite &&= Number.isFinite(root.statistics.lossSum)
  }

  /**
   * Keeps a chunk of the whole gradient until its norm is known, where its update will be written: that reads each element before it
   * writes it, so the gradient takes no memory of its own.
   * @param sums byte offset of the chunk
   * @returns Σ g² over its parameters
   */
  #gather(chunk: number, sums: number): number {
    const { updateRanges } = this.#options
    const [start, floats] = [chunk * CHUNK_FLOATS, this.#chunkFloats(chunk)]
    for (const range of cutRanges(updateRanges, start, floats)) {
      const from = sums + (range.offset - start) * FLOAT_BYTES
      copyBytes(this.#arena.bytes(this.#gatheredAt(range), range.size), this.#arena.bytes(from, range.size))
    }
    return this.#arena.squares(sums, parametersWithin(updateRanges, start, floats))
  }

  /** Where a gathered gradient waits: in the next velocity, or, for batch statistics, which have none, in the next weights. A byte offset. */
  #gatheredAt({ offset, decay }: UpdateRange): number {
    const buffers = decay === 'none' ? this.buffers.weights : this.buffers.velocity
    return buffers[sideOf(this.#committed + 1, this.#opened)] + offset * FLOAT_BYTES
  }

  /** The norm of the whole gradient is known: scales what was gathered, batch statistics aside, and updates every chunk. @param factor of the gradient */
  update(factor: number): void {
    invariant(this.#squares !== undefined && this.#running && this.#chunksLeft === 0, 'only a whole gradient is clipped')
    invariant(!this.#blocked, 'nobody reads what a whole gradient is about to be written to')
    const { updateRanges, slice } = this.#options
    for (const range of cutRanges(updateRanges, 0, factor === 1 ? 0 : slice.size))
      if (range.decay !== 'none') this.#arena.scale(this.#gatheredAt(range), range.size, factor)
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      this.#update(chunk)
      this.#listener.chunkUpdated(chunk)
    }
    this.#listener.reduced(this.#finite, this.#statistics)
  }

  /**
   * v' = μ·v − ε·(g + λ·w), w' = w + v', and for batch statistics their mean, into the provisional version's buffers.
   * @param sums byte offset of the chunk's whole gradient; left out where it was gathered
   */
  #update(chunk: number, sums?: number): void {
    const [from, to] = [sideOf(this.#committed, this.#opened), sideOf(this.#committed + 1, this.#opened)]
    const startUs = this.#spans.now()
    const start = chunk * CHUNK_FLOATS
    const floats = this.#chunkFloats(chunk)
    const { microBatches, momentum, nesterov, updateRanges } = this.#options
    for (const range of cutRanges(updateRanges, start, floats)) {
      const { offset, size, decay } = range
      const at = offset * FLOAT_BYTES
      const gradient = sums === undefined ? this.#gatheredAt(range) : sums + (offset - start) * FLOAT_BYTES
      const nextWeights = this.buffers.weights[to] + at
      const finite =
        decay === 'none'
          ? this.#arena.average({ sum: gradient, nextStatistics: nextWeights, floats: size, count: microBatches })
          : this.#arena.update({
              weights: this.buffers.weights[from] + at,
              velocity: this.buffers.velocity[from] + at,
              nextVelocity: this.buffers.velocity[to] + at,
              ...{ gradient, nextWeights, floats: size, momentum, rate: this.#rate, decay, nesterov },
            })
      this.#finite &&= finite
      this.#narrow?.renew(to, this.buffers.weights[to], range, decay !== 'none')
    }
    this.#updated[chunk] = 1
    this.#spans.add({ track: this.#track, kind: 'update', name: `update chunk ${String(chunk)}`, step: this.#committed }, startUs)
  }

  /** Whether this version's chunk exists: all of the committed version, what is there of the provisional one. */
  has(version: number, chunk: number): boolean {
    if (version === this.#committed) return true
    return version === this.#committed + 1 && this.#updated[chunk] === 1
  }

  /** The weights of a chunk, little-endian float32 or bfloat16, in place: to be copied before the version is overwritten. */
  weights(version: number, chunk: number): Buffer {
    const side = sideOf(version, this.#opened)
    if (this.#narrow !== undefined) return this.#narrow.body(side, chunk * CHUNK_FLOATS, this.#chunkFloats(chunk))
    const at = this.buffers.weights[side] + chunk * CHUNK_FLOATS * FLOAT_BYTES
    return Buffer.from(this.#arena.memory.buffer, at, this.#chunkFloats(chunk) * FLOAT_BYTES)
  }

  /** The file in memory that a version's weights are, from the slice's first on; undefined where others cannot map it, or bodies are rounded. */
  file(version: number): SharedFile | undefined {
    return this.#files[sideOf(version, this.#opened)]
  }

  get #track(): string {
    return `slice ${String(this.#options.slice.index)}`
  }

  #cover(chunk: number): ChunkCover<Partial> {
    const cover = this.#covers[chunk]
    invariant(cover !== undefined, 'a chunk is one of its slice')
    return cover
  }

  #chunkFloats(chunk: number): number {
    return Math.min(CHUNK_FLOATS, this.#options.slice.size - chunk * CHUNK_FLOATS)
  }
}
