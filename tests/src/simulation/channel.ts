import type { Chance } from './chance.js'
import type { Place, VirtualTime } from './virtual-time.js'

/** How long messages travel. */
export interface Delays {
  readonly leastMs: number
  readonly mostMs: number
  /** How often a message takes up to `spikeMs`. */
  readonly spikes: number
  readonly spikeMs: number
}

/**
 * One direction of a connection: what was sent first arrives first, as with TCP. When it breaks, what had left by some
 * moment still arrives, also after the messages of a newer connection; the rest is lost.
 */
export class Channel {
  #lastMs = 0
  #stalledUntilMs = 0
  /** Whatever would arrive later is lost. */
  #cutMs = Infinity

  constructor(
    private readonly time: VirtualTime,
    private readonly chance: Chance,
    private readonly delays: Delays,
    private readonly to: Place,
  ) {}

  send(arrive: () => void): void {
    if (this.#cutMs !== Infinity) return
    const atMs = Math.max(this.#lastMs, this.#stalledUntilMs, this.time.nowMs + delayOf(this.chance, this.delays))
    this.#lastMs = atMs
    this.time.at(atMs, this.to, () => {
      if (atMs <= this.#cutMs) arrive()
    })
  }

  /** Nothing more arrives until then: a black hole that TCP fills up again. */
  stall(untilMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, untilMs)
  }

  /** @param lateMs what would have arrived within this time still does */
  cut(lateMs: number): void {
    this.#cutMs = Math.min(this.#cutMs, this.time.nowMs + lateMs)
  }
}

export function delayOf(chance: Chance, { leastMs, mostMs, spikes, spikeMs }: Delays): number {
  return chance.happens(spikes) ? chance.between(mostMs, spikeMs) : chance.between(leastMs, mostMs)
}
