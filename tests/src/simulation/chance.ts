import { philox } from '@lockstep/shared/random/philox.js'

/** Second key word of Philox: apart from every purpose of a run. */
const SIMULATION = 0x51b

/**
 * Random numbers of one part of a simulated world. Every part has a stream of its own, named by a string, so that taking
 * a fault out of a history leaves the numbers of everything else where they were: what shrinking lives on.
 */
export class Chance {
  readonly #seed: number
  readonly #stream: number
  readonly #words = new Uint32Array(4)
  #drawn = 0

  constructor(seed: number, stream: string) {
    this.#seed = seed
    let hash = 0x811c9dc5
    for (let index = 0; index < stream.length; index++) hash = Math.imul(hash ^ stream.charCodeAt(index), 0x01000193)
    this.#stream = hash
  }

  /** Uniform in [0, 1). */
  next(): number {
    const word = this.#drawn++
    if ((word & 3) === 0) philox(word >>> 2, this.#stream, 0, 0, this.#seed, SIMULATION, this.#words)
    return (this.#words[word & 3] ?? 0) / 2 ** 32
  }

  between(least: number, most: number): number {
    return least + (most - least) * this.next()
  }

  /** A whole number, both ends included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  happens(probability: number): boolean {
    return this.next() < probability
  }

  pick<Value>(values: readonly Value[]): Value {
    const value = values[this.whole(0, values.length - 1)]
    if (value === undefined) throw new Error('nothing to pick from')
    return value
  }
}
