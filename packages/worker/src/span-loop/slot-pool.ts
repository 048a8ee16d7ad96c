/**
 * Slots of the compute thread's accumulators: whole parameter vectors, so as few as possible. A slot is taken when an
 * accumulator begins and given back when it was added into another or its node was acknowledged; one that the averager
 * reads where it lies is lent until the step is over.
 */
export class SlotPool {
  private readonly free: number[] = []
  private readonly waiting: ((slot: number) => void)[] = []
  /** Slot and step. */
  private lent: { readonly slot: number; readonly step: number }[] = []
  private made = 0

  /** Slots that exist, used or not. */
  get size(): number {
    return this.made
  }

  /** Whether nothing is lent. One slot may be: it is the one to spare, beside those that are computed into. */
  get mayLend(): boolean {
    return this.lent.length === 0
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

  /** Instead of giving it back: somebody reads it until the step is over. */
  lend(slot: number, step: number): void {
    this.lent.push({ slot, step })
  }

  /** Steps before `version` are over: what was lent in them is given back. @returns those slots */
  takeBack(version = Infinity): number[] {
    const back = this.lent.filter(({ step }) => step < version).map(({ slot }) => slot)
    this.lent = this.lent.filter(({ step }) => step >= version)
    for (const slot of back) this.give(slot)
    return back
  }
}
