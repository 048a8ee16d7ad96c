import { invariant } from '@lockstep/shared/errors/train-error.js'

/** What must be true of an entry of the book: what its acknowledgement repeats, and what it weighs. */
export interface BookEntry {
  readonly step: number
  readonly firstLeaf: number
  readonly leafCount: number
  readonly chunk: number
  readonly bytes: number
}

/** The part of an acknowledgement that names what it answers. */
export interface AcknowledgedKey {
  readonly step: number
  readonly firstLeaf: number
  readonly leafCount: number
  readonly chunk: number
}

/**
 * What waits to be sent on one stream, and what is sent and not acknowledged yet. Pure bookkeeping: acknowledgements come
 * in the order of arrival, bytes in flight are bounded, and after a broken stream what was in flight comes first again.
 */
export class ContributionBook<Entry extends BookEntry> {
  private waiting: Entry[] = []
  private inFlight: Entry[] = []
  private flightBytes = 0

  constructor(private readonly limitBytes: number) {}

  /** Nothing waits and nothing is in flight. */
  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.inFlight.length === 0
  }

  get bytesInFlight(): number {
    return this.flightBytes
  }

  add(entry: Entry): void {
    this.waiting.push(entry)
  }

  /** Takes the next entry to send, or undefined if none waits or enough is in flight. One entry may always fly. */
  take(): Entry | undefined {
    const next = this.waiting[0]
    if (next === undefined) return undefined
    if (this.inFlight.length > 0 && this.flightBytes + next.bytes > this.limitBytes) return undefined
    this.waiting.shift()
    this.inFlight.push(next)
    this.flightBytes += next.bytes
    return next
  }

  /** The entry an acknowledgement answers: always the oldest in flight. @throws InvariantError if it is another */
  acknowledge(key: AcknowledgedKey): Entry {
    const entry = this.inFlight.shift()
    invariant(entry !== undefined, 'an acknowledgement answers something sent')
    const same =
      entry.step === key.step && entry.firstLeaf === key.firstLeaf && entry.leafCount === key.leafCount && entry.chunk === key.chunk
    invariant(same, 'acknowledgements come in the order of arrival')
    this.flightBytes -= entry.bytes
    return entry
  }

  /** The stream broke: everything in flight must be sent again, before what waits. */
  recall(): void {
    this.waiting = [...this.inFlight, ...this.waiting]
    this.inFlight = []
    this.flightBytes = 0
  }

  /** Removes and returns everything that waits; what is in flight will still be acknowledged. */
  clearWaiting(): Entry[] {
    const cleared = this.waiting
    this.waiting = []
    return cleared
  }

  /** Removes and returns everything. */
  clear(): Entry[] {
    this.recall()
    return this.clearWaiting()
  }
}
