/**
 * Slots of the compute thread's accumulators: whole parameter vectors, so as few as possible. A slot is taken when an
 * accumulator begins and given back when it was added into another or its node was acknowledged.
 */
export class SlotPool {
  private readonly free: number[] = []
  private readonly waiting: ((slot: number) => void)[] = []
  private made = 0

  /** Slots that exist, used or not. */
  get size(): number {
    return this.made
  }

  /** A free slot; a new one if fewer than `limit` exist; else waits until one is given back. */
  async take(limit: number): Promise<number> {
    const slot = this.free.pop()
    if (slot !== undefined) return slot
    if (this.made < limit) return this.made++
    return await new Promise((resolve) => this.waiting.push(resolve))
  }

  give(slot: number): void {
    const next = this.waiting.shift()
    if (next === undefined) this.free.push(slot)
    else next(slot)
  }
}
