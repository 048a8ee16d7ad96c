/** Where something happens: a process that may be dead, or asleep until some moment. */
export class Place {
  alive = true
  asleepUntilMs = 0

  constructor(readonly name: string) {}
}

interface Entry {
  atMs: number
  /** Equal moments keep the order in which they were asked for, and so does what a sleeper finds when it wakes. */
  readonly order: number
  readonly place: Place | undefined
  readonly action: () => void
}

/** A clock that jumps from event to event. What is meant for a dead place is forgotten; a sleeping one gets it when it wakes. */
export class VirtualTime {
  nowMs = 0
  #order = 0
  readonly #heap: Entry[] = []

  /** Lets something happen after a while. */
  after(delayMs: number, place: Place | undefined, action: () => void): void {
    this.at(this.nowMs + delayMs, place, action)
  }

  at(atMs: number, place: Place | undefined, action: () => void): void {
    this.#push({ atMs: Math.max(atMs, this.nowMs), order: this.#order++, place, action })
  }

  /** Lets the next thing happen. @returns false if nothing is left */
  step(): boolean {
    for (;;) {
      const entry = this.#pop()
      if (entry === undefined) return false
      const { place } = entry
      if (place?.alive === false) continue
      if (place !== undefined && place.asleepUntilMs > entry.atMs) {
        entry.atMs = place.asleepUntilMs
        this.#push(entry)
        continue
      }
      this.nowMs = entry.atMs
      entry.action()
      return true
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || before(parent, entry)) break
      heap[at] = parent
      at = up
    }
    heap[at] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      const left = heap[2 * at + 1]
      if (left === undefined) break
      const right = heap[2 * at + 2]
      const child = right !== undefined && before(right, left) ? right : left
      if (before(last, child)) break
      heap[at] = child
      at = child === left ? 2 * at + 1 : 2 * at + 2
    }
    heap[at] = last
    return first
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
