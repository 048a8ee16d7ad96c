import { ContributionBook, type BookEntry } from '@lockstep/worker/exchange/contribution-book.js'
import { backOffMs } from '@lockstep/worker/membership/back-off.js'
import type { Outcome } from '@lockstep/averager/contribution-check.js'
import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { Chance } from './chance.js'
import { Channel } from './channel.js'
import type { SimulatedCoordinator } from './simulated-coordinator.js'
import type { Place } from './virtual-time.js'
import type { World } from './world-parts.js'

/** As in slice-link.ts. */
const RECONNECT = { firstMs: 50, mostMs: 1000, limitMs: 10_000 }
const EARLY_RETRY_MS = 50
/** Two chunks in flight and the rest waiting: what the real limit comes to with large networks. */
const FLIGHT_BYTES = 2.5 * 1024 * 1024

export interface OutgoingChunk extends BookEntry {
  readonly contribution: Contribution__Output
  readonly settle: (outcome: Outcome) => void
  /** The link was closed or given up. */
  readonly fail: () => void
}

interface Stream {
  readonly out: Channel
  readonly back: Channel
  live: boolean
}

/** One worker's way to one slice: what slice-link.ts does, around the real book, over channels that break and stall. */
export class SimulatedLink {
  bytesAcknowledged = 0
  /** Contributions arrive twice until then. */
  twiceUntilMs = 0
  /** Nothing passes until then, on newer streams neither. */
  stalledUntilMs = 0
  readonly #book = new ContributionBook<OutgoingChunk>(FLIGHT_BYTES)
  readonly #chance: Chance
  #stream: Stream | undefined
  #closed = false
  #waiting = false
  #failures = 0
  #awaySinceMs = 0
  #streams = 0

  /** @param unreachable the slice is given up */
  constructor(
    private readonly world: World,
    private readonly coordinator: SimulatedCoordinator,
    private readonly slice: number,
    private readonly place: Place,
    private readonly name: string,
    private readonly unreachable: () => void,
  ) {
    this.#chance = world.chance(name)
  }

  send(chunk: OutgoingChunk): void {
    if (this.#closed) chunk.fail()
    else {
      this.#book.add(chunk)
      this.#pump()
    }
  }

  dropWaiting(): void {
    for (const chunk of this.#book.clearWaiting()) chunk.settle('PAST_STEP')
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cut()
    for (const chunk of this.#book.clear()) chunk.fail()
  }

  /** The stream breaks, in the middle of whatever is on it. */
  break(): void {
    if (this.#stream === undefined || this.#closed) return
    this.#cut()
    this.world.time.after(this.#chance.between(0, 20), this.place, () => this.#broken())
  }

  /** What had left may still arrive, even after what the next stream brings. */
  #cut(): void {
    const stream = this.#stream
    if (stream === undefined) return
    stream.live = false
    stream.out.cut(this.#chance.happens(0.5) ? 0 : this.#chance.between(0, 2 * this.world.networkDelays.mostMs))
    stream.back.cut(0)
  }

  #pump(): void {
    if (this.#closed || this.#waiting || this.#book.isEmpty) return
    const stream = (this.#stream ??= this.#open())
    if (!stream.live) return
    for (;;) {
      const chunk = this.#book.take()
      if (chunk === undefined) return
      this.#write(stream, chunk)
    }
  }

  #open(): Stream {
    const { time, networkDelays } = this.world
    const name = `${this.name} ${String(this.#streams++)}`
    const stream = {
      out: new Channel(time, this.world.chance(`${name} out`), networkDelays, this.coordinator.place),
      back: new Channel(time, this.world.chance(`${name} back`), networkDelays, this.place),
      live: true,
    }
    stream.out.stall(this.stalledUntilMs)
    if (!this.coordinator.place.alive) time.after(5, this.place, () => stream === this.#stream && this.break())
    return stream
  }

  stall(untilMs: number): void {
    this.stalledUntilMs = untilMs
    this.#stream?.out.stall(untilMs)
  }

  #write(stream: Stream, { contribution }: OutgoingChunk): void {
    const { time, oldAnswers, mutation } = this.world
    const { step, firstLeaf, leafCount, chunk } = contribution
    const arrive = (): Outcome => {
      const slice = this.coordinator.averager.slices[this.slice]
      if (slice === undefined) throw new Error('every link leads to a slice')
      const outcome = slice.contribute(contribution)
      this.world.note(() => `  slice ${String(this.slice)}: ${this.name} ${described(contribution)}: ${outcome}`)
      return outcome
    }
    oldAnswers.push({ type: 'contribution', slice: this.slice, contribution })
    if (oldAnswers.length > (mutation === undefined ? 48 : 200)) oldAnswers.shift()
    stream.out.send(() => {
      const outcome = arrive()
      stream.back.send(() => {
        if (stream.live && stream === this.#stream) this.#acknowledged({ step, firstLeaf, leafCount, chunk }, outcome)
      })
    })
    if (time.nowMs < this.twiceUntilMs) time.after(this.#chance.between(0, 1_500), this.coordinator.place, arrive)
  }

  #acknowledged(key: { step: number; firstLeaf: number; leafCount: number; chunk: number }, outcome: Outcome): void {
    this.#failures = 0
    const chunk = this.#book.acknowledge(key)
    this.bytesAcknowledged += chunk.bytes
    if (outcome === 'FUTURE_STEP') this.world.time.after(EARLY_RETRY_MS, this.place, () => this.send(chunk))
    else chunk.settle(outcome)
    this.#pump()
  }

  #broken(): void {
    if (this.#closed || this.#stream?.live !== false) return
    this.#stream = undefined
    this.#book.recall()
    const { time } = this.world
    if (this.#failures++ === 0) this.#awaySinceMs = time.nowMs
    const waitMs = backOffMs(RECONNECT, this.#failures, time.nowMs - this.#awaySinceMs)
    if (waitMs === undefined) {
      for (const chunk of this.#book.clear()) chunk.fail()
      return this.unreachable()
    }
    this.#waiting = true
    time.after(waitMs, this.place, () => {
      this.#waiting = false
      this.#pump()
    })
  }
}

function described({ term, step, firstLeaf, leafCount, chunk }: Contribution__Output): string {
  return `term ${String(term)} step ${String(step)} leaves ${String(firstLeaf)}+${String(leafCount)} chunk ${String(chunk)}`
}
