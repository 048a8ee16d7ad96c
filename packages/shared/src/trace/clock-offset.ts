/** Round trips looked back on: at two a second the offset follows clocks that drift apart. */
const NEWEST = 32

interface RoundTrip {
  readonly offsetUs: number
  readonly durationUs: number
}

/**
 * How far another machine's clock is ahead of ours, from questions and answers: a question leaves at s, is read at r on the
 * other clock, its answer is here at e. Were both ways equally long, the offset would be r − (s + e)/2; it is off by at most
 * (e − s)/2. So the shortest of the newest round trips counts.
 */
export class ClockOffset {
  readonly #trips: RoundTrip[] = []

  /** @param sentUs ours @param remoteUs the other clock's @param receivedUs ours */
  add(sentUs: number, remoteUs: number, receivedUs: number): void {
    if (receivedUs < sentUs) return
    this.#trips.push({ offsetUs: remoteUs - (sentUs + receivedUs) / 2, durationUs: receivedUs - sentUs })
    if (this.#trips.length > NEWEST) this.#trips.shift()
  }

  /** Microseconds to add to our clock; undefined before the first round trip. */
  get offsetUs(): number | undefined {
    let best: RoundTrip | undefined
    for (const trip of this.#trips) if (best === undefined || trip.durationUs < best.durationUs) best = trip
    return best?.offsetUs
  }
}
