import { invariant } from '@lockstep/shared/errors/train-error.js'

/** What one direction of a long way does to what goes along it. */
export interface DelayLineOptions {
  /** From one end to the other. */
  readonly delayMs: number
  /** The most that enters it; Infinity for no limit. */
  readonly bytesPerSecond: number
  /** From so many bytes on the way, no more should be put on it. */
  readonly capacityBytes: number
}

interface Held {
  readonly data: Buffer
  readonly dueMs: number
}

/** One direction: first in, first out, each piece a fixed time after it had its turn at a limited rate. Pure: the clock is the caller's. */
export class DelayLine {
  readonly #options: DelayLineOptions
  #held: Held[] = []
  #next = 0
  #heldBytes = 0
  #mostHeldBytes = 0
  /** When the rate allows the next piece to enter. */
  #freeMs = 0

  constructor(options: DelayLineOptions) {
    invariant(options.delayMs >= 0 && options.bytesPerSecond > 0, 'a way takes some time and lets something pass')
    this.#options = options
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** The most that was ever on the way at once. */
  get mostHeldBytes(): number {
    return this.#mostHeldBytes
  }

  get isFull(): boolean {
    return this.#heldBytes >= this.#options.capacityBytes
  }

  /** When the oldest piece arrives; undefined when none is on the way. */
  get nextMs(): number | undefined {
    return this.#held[this.#next]?.dueMs
  }

  put(data: Buffer, nowMs: number): void {
    const { delayMs, bytesPerSecond } = this.#options
    this.#freeMs = Math.max(this.#freeMs, nowMs) + (data.length / bytesPerSecond) * 1000
    this.#held.push({ data, dueMs: this.#freeMs + delayMs })
    this.#heldBytes += data.length
    this.#mostHeldBytes = Math.max(this.#mostHeldBytes, this.#heldBytes)
  }

  /** Takes the oldest piece, if it has arrived. */
  take(nowMs: number): Buffer | undefined {
    const oldest = this.#held[this.#next]
    if (oldest === undefined || oldest.dueMs > nowMs) return undefined
    this.#next++
    this.#heldBytes -= oldest.data.length
    if (this.#next === this.#held.length || this.#next > 1024) {
      this.#held = this.#held.slice(this.#next)
      this.#next = 0
    }
    return oldest.data
  }
}
