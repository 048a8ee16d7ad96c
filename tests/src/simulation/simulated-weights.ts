import type { WeightsStreams } from '@lockstep/averager/weights-streams.js'
import { backOffMs } from '@lockstep/worker/membership/back-off.js'
import type { Chance } from './chance.js'
import { Channel } from './channel.js'
import type { SimulatedCoordinator } from './simulated-coordinator.js'
import type { Place } from './virtual-time.js'
import { RUN, type World } from './world-parts.js'

/** As in weights-receiver.ts. */
const RETRY = { firstMs: 50, mostMs: 1000, limitMs: 10_000 }

type WeightsCall = Parameters<WeightsStreams['open']>[0]

/** What became of waiting for a version. */
export type Received = 'whole' | 'interrupted' | 'unreachable'

/** Receives weights: what weights-receiver.ts does, from the real streams of the slices. */
export class SimulatedWeights {
  bytesReceived = 0
  /** The worker's one vector: a digest a chunk. */
  readonly vector: number[] = []
  #fetch: Fetch | undefined

  constructor(
    readonly world: World,
    readonly coordinator: SimulatedCoordinator,
    readonly term: number,
    readonly place: Place,
    readonly name: string,
    readonly chance: Chance,
  ) {}

  want(version: number): void {
    if (this.#fetch?.version === version && this.#fetch.outcome !== 'interrupted' && this.#fetch.outcome !== 'unreachable') return
    this.#fetch?.stop('interrupted')
    this.#fetch = new Fetch(this, version)
  }

  receive(version: number, done: (received: Received) => void): void {
    this.want(version)
    this.#fetch?.whenOver(done)
  }

  forget(version: number): void {
    if (this.#fetch?.version === version) this.close()
  }

  close(): void {
    this.#fetch?.stop('interrupted')
    this.#fetch = undefined
  }

  /** What is being received breaks off. */
  break(): void {
    this.#fetch?.break()
  }
}

class Fetch {
  outcome: Received | undefined
  #missing: number
  readonly #waiting: ((received: Received) => void)[] = []
  readonly #calls = new Set<Call>()

  constructor(
    readonly weights: SimulatedWeights,
    readonly version: number,
  ) {
    const { slices } = weights.coordinator.averager
    this.#missing = slices.length
    for (const slice of slices) this.#open(slice.index, 0, weights.world.time.nowMs)
  }

  whenOver(done: (received: Received) => void): void {
    if (this.outcome === undefined) this.#waiting.push(done)
    else done(this.outcome)
  }

  stop(outcome: Received): void {
    if (this.outcome !== undefined) return
    for (const call of this.#calls) call.cancel()
    this.#calls.clear()
    this.#over(outcome)
  }

  break(): void {
    for (const call of this.#calls) call.break()
  }

  #over(outcome: Received): void {
    this.outcome = outcome
    for (const done of this.#waiting.splice(0)) done(outcome)
  }

  #open(slice: number, attempt: number, sinceMs: number): void {
    if (this.outcome !== undefined) return
    const { weights, version } = this
    const { time } = weights.world
    const { firstChunk = 0, state } = weights.coordinator.averager.slices[slice] ?? {}
    let received = 0
    const call: Call = new Call(weights, slice, version, {
      chunk: (chunk, digest) => {
        if (!this.#calls.has(call)) return
        weights.vector[firstChunk + chunk] = digest
        weights.bytesReceived += 1
        received++
        if (received !== state?.chunks) return
        this.#calls.delete(call)
        this.#missing--
        if (this.#missing === 0) this.#over('whole')
      },
      ended: () => {
        if (!this.#calls.delete(call)) return
        const again = received > 0 ? { attempt: 1, sinceMs: time.nowMs } : { attempt: attempt + 1, sinceMs }
        const waitMs = backOffMs(RETRY, again.attempt, time.nowMs - again.sinceMs)
        if (waitMs === undefined) this.stop('unreachable')
        else time.after(waitMs, weights.place, () => this.#open(slice, again.attempt, again.sinceMs))
      },
    })
    this.#calls.add(call)
  }
}

/** One call of Weights, with both of its ends. */
class Call {
  readonly #back: Channel
  readonly #handlers: (() => void)[] = []
  #cancelled = false

  constructor(
    private readonly weights: SimulatedWeights,
    slice: number,
    version: number,
    private readonly on: { chunk: (chunk: number, digest: number) => void; ended: () => void },
  ) {
    const { world, coordinator, place, chance, term } = weights
    const { time, networkDelays } = world
    this.#back = new Channel(time, chance, networkDelays, place)
    const wire = {
      on: (_event: string, handler: () => void) => this.#handlers.push(handler),
      write: ({ chunk }: { chunk: number }, body: unknown, sent: () => void) => {
        this.#back.send(() => this.on.chunk(chunk, body as number))
        time.after(chance.between(0, 2), coordinator.place, sent)
      },
      end: () => this.#back.send(() => this.on.ended()),
      fail: () => this.#back.send(() => this.on.ended()),
    }
    const asked = { run: RUN, term, version, proofPath: '', proofInode: 0, proof: Buffer.alloc(0) }
    if (coordinator.place.alive) {
      const request = new Channel(time, chance, networkDelays, coordinator.place)
      request.send(() => {
        if (!this.#cancelled) coordinator.averager.slices[slice]?.streams.open(wire as unknown as WeightsCall, asked)
      })
    } else time.after(5, place, () => this.on.ended())
  }

  cancel(): void {
    this.#cancelled = true
    this.#back.cut(0)
    const { time, networkDelays } = this.weights.world
    time.after(networkDelays.mostMs, this.weights.coordinator.place, () => {
      for (const handler of this.#handlers) handler()
    })
  }

  break(): void {
    this.cancel()
    this.weights.world.time.after(5, this.weights.place, () => this.on.ended())
  }
}
