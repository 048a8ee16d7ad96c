import type { Outcome } from '@lockstep/averager/contribution-check.js'
import { LeafTally } from '@lockstep/averager/leaf-tally.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { SliceEvent, SliceRequest } from '@lockstep/averager/thread-messages.js'
import { sideOf } from '@lockstep/averager/version-buffers.js'
import { WeightsStreams } from '@lockstep/averager/weights-streams.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { CHUNK_FLOATS, type Slice } from '@lockstep/shared/parameters/layout.js'
import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import { Channel } from './channel.js'
import { RUN, type World } from './world-parts.js'
import { SymbolicArena, SymbolicSlice } from './symbolic-arena.js'
import type { ChunkState } from './undisturbed.js'
import type { Place } from './virtual-time.js'

export interface AveragerNews {
  covered(event: { step: number; first: number; count: number }): void
  reduced(event: NodeStatistics & { step: number; finite: boolean }): void
}

/** One slice thread: the real state and the real streams, between two queues of messages to and from the main thread. */
export class SimulatedSlice {
  readonly state: SymbolicSlice
  readonly streams: WeightsStreams
  readonly #in: Channel
  readonly #out: Channel
  #attempt = 0

  constructor(
    private readonly world: World,
    readonly index: number,
    /** Number of its first chunk in the whole vector. */
    readonly firstChunk: number,
    chunks: number,
    term: number,
    private readonly place: Place,
    tell: (event: SliceEvent) => void,
  ) {
    const { time, scenario } = world
    const name = `${place.name} slice ${String(index)}`
    this.#in = new Channel(time, world.chance(`to ${name}`), world.threadDelays, place)
    this.#out = new Channel(time, world.chance(`from ${name}`), world.threadDelays, place)
    const slice: Slice = { index, offset: firstChunk * CHUNK_FLOATS, size: chunks * CHUNK_FLOATS }
    const size = slice.size
    const options = {
      run: RUN,
      term,
      leaves: scenario.plan.leaves,
      microBatches: scenario.plan.leaves,
      slice,
      momentum: 0.9,
      nesterov: false,
      clips: false,
      updateRanges: [{ offset: 0, size, decay: 0 }],
    }
    const arena = new SymbolicArena((chunk, tree, range) => {
      const finite = world.watch.aboutToUpdate(this, term, chunk, tree, range.rate)
      if (world.mutation === 'dropBeforeCommit') arena.state.set(range.weights, arena.stateAt(range.weights) + 1)
      return finite
    })
    this.state = new SymbolicSlice(options, arena, {
      covered: ({ first, count }) => this.#tell({ type: 'covered', attempt: this.#attempt, first, count }, tell),
      chunkUpdated: () => this.streams.pump(),
      reduced: (finite, statistics) => this.#tell({ type: 'reduced', attempt: this.#attempt, finite, statistics }, tell),
    })
    this.streams = new WeightsStreams(this.state, { run: RUN, term })
  }

  #tell(event: SliceEvent, tell: (event: SliceEvent) => void): void {
    this.#out.send(() => tell(event))
  }

  /** As slice-thread.ts: every request is done when it comes, and answered. */
  ask(request: SliceRequest, answered: () => void): void {
    this.#in.send(() => {
      this.#handle(request)
      this.world.watch.committedIsWhole(this)
      this.#out.send(answered)
    })
  }

  #handle(request: SliceRequest): void {
    const { state, streams } = this
    switch (request.type) {
      case 'open':
        state.open(request.version)
        break
      case 'beginStep':
        this.#attempt = request.attempt
        state.beginStep(request.step, request.rate, request.audits)
        break
      case 'commit':
      case 'skip':
        if (request.type === 'commit') {
          this.world.watch.aboutToCommit(this, request.version)
          state.commit(request.version)
        } else state.skip(request.version)
        streams.abort((version) => version < request.version, 'committed meanwhile')
        break
      case 'drop':
        streams.abort((version) => version === request.version, 'dropped')
        state.drop(request.version)
        break
      case 'pin':
        state.pin(request.side)
        break
      case 'unpin':
        state.unpin(request.side)
        break
      case 'start':
        break
    }
    streams.pump()
  }

  contribute(contribution: Contribution__Output): Outcome {
    const outcome = this.state.contribute(contribution)
    this.world.count(`contribution ${outcome}`)
    this.world.watch.committedIsWhole(this)
    return outcome
  }
}

/**
 * What averager.ts does on the main thread, line for line, over slices in virtual time: which attempt an event belongs
 * to, when all slices have a leaf, when the provisional version is whole, and pins while a version is read.
 */
export class SimulatedAverager {
  readonly slices: SimulatedSlice[]
  committed = -1
  readonly #leaves: LeafTally
  #attempt = 0
  #opened = -1
  #reducedSlices = 0
  #finite = true
  #statistics: NodeStatistics | undefined

  constructor(
    private readonly world: World,
    private readonly place: Place,
    term: number,
    private readonly news: AveragerNews,
  ) {
    let firstChunk = 0
    this.slices = world.scenario.slices.map((chunks, index) => {
      const first = firstChunk
      firstChunk += chunks
      return new SimulatedSlice(world, index, first, chunks, term, place, (event) => this.#onSliceEvent(event))
    })
    this.#leaves = new LeafTally(world.scenario.plan.leaves, this.slices.length)
  }

  #onSliceEvent(event: SliceEvent): void {
    if (event.attempt !== this.#attempt) return
    const step = this.committed
    if (event.type === 'covered') {
      for (const range of this.#leaves.add(event)) this.news.covered({ step, ...range })
      return
    }
    if (event.type !== 'reduced') return
    this.#reducedSlices++
    this.#finite &&= event.finite
    this.#statistics ??= event.statistics
    const early = this.world.mutation === 'commitEarly' && this.#statistics !== undefined
    if (this.#reducedSlices < this.slices.length && !early) return
    invariant(this.#statistics !== undefined, 'slice 0 brings the statistics of a step')
    this.news.reduced({ step, ...this.#statistics, finite: this.#finite })
  }

  open(version: number, state: readonly ChunkState[], done: () => void): void {
    for (const slice of this.slices) {
      for (let chunk = 0; chunk < slice.state.chunks; chunk++) {
        const { weights = 0, velocity = 0 } = state[slice.firstChunk + chunk] ?? {}
        slice.state.write(chunk, weights, velocity)
      }
    }
    this.#opened = version
    this.committed = version
    this.#askAll({ type: 'open', version }, done)
  }

  beginStep(step: number, rate: number, done: () => void): void {
    invariant(step === this.committed, 'a step begins from the committed version')
    this.#attempt++
    this.#leaves.clear()
    this.#reducedSlices = 0
    this.#finite = true
    this.#statistics = undefined
    this.#askAll({ type: 'beginStep', step, rate, attempt: this.#attempt }, done)
  }

  commit(version: number, done: () => void): void {
    const whole = this.#reducedSlices === this.slices.length || this.world.mutation === 'commitEarly'
    invariant(version === this.committed + 1 && whole, 'only a whole provisional version is committed')
    this.committed = version
    this.#reducedSlices = 0
    this.#attempt++
    this.#askAll({ type: 'commit', version }, done)
  }

  drop(version: number, done: () => void): void {
    invariant(version === this.committed + 1, 'only the provisional version is dropped')
    this.#attempt++
    this.#reducedSlices = 0
    this.#askAll({ type: 'drop', version }, done)
  }

  skip(version: number, done: () => void): void {
    invariant(version === this.committed + 1, 'the version that is skipped to is the next one')
    this.committed = version
    this.#attempt++
    this.#reducedSlices = 0
    this.#askAll({ type: 'skip', version }, done)
  }

  /** Reads every chunk of the committed version at some moment within a time, as the state thread does, and gives it back. */
  read(version: number, durationMs: number, done: (state: ChunkState[]) => void): void {
    invariant(version === this.committed, 'a checkpoint holds the committed version')
    const { time } = this.world
    const side = sideOf(version, this.#opened)
    const chunks = this.slices.flatMap((slice) => Array.from({ length: slice.state.chunks }, (_, chunk) => ({ slice, chunk })))
    const state: ChunkState[] = []
    let [pinned, isRead] = [false, false]
    const both = (): void => {
      if (pinned && isRead) this.#askAll({ type: 'unpin', side }, () => done(state))
    }
    for (const [index, { slice, chunk }] of chunks.entries()) {
      time.after((durationMs * (index + 1)) / chunks.length, this.place, () => {
        state.push(slice.state.stateOf(version, chunk))
        isRead = state.length === chunks.length
        if (isRead) both()
      })
    }
    this.#askAll({ type: 'pin', side }, () => {
      pinned = true
      both()
    })
  }

  #askAll(request: SliceRequest, done: () => void): void {
    let missing = this.slices.length
    for (const slice of this.slices) {
      slice.ask(request, () => {
        if (--missing === 0) done()
      })
    }
  }
}
