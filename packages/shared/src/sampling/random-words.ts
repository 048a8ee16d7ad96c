/**
 * Random words read one after another out of counter-based blocks: for draws whose number is not known ahead (rejection).
 * The sequence is a pure function of the blocks; the object lives only as long as one permutation is being drawn.
 */
export class RandomWords {
  private readonly words = new Uint32Array(4)
  private block = 0
  private used = 4

  /** @param fill writes the four words of block number `draw` into `words` */
  constructor(private readonly fill: (draw: number, words: Uint32Array) => void) {}

  next(): number {
    if (this.used === 4) {
      this.fill(this.block++, this.words)
      this.used = 0
    }
    return this.words[this.used++] ?? 0
  }

  /**
   * A whole number in [0, bound), every one equally likely: words at or above the largest multiple of `bound` that fits
   * into 2^32 are thrown away, the rest is taken modulo `bound`. @param bound 1 … 2^32
   */
  below(bound: number): number {
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % bound)
    let word = this.next()
    while (word >= limit) word = this.next()
    return word % bound
  }

  /** Fisher–Yates, from the last element down, in place (Knuth, TAOCP vol. 2, 3.4.2, algorithm P). */
  shuffle(values: Uint32Array): Uint32Array {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const held = values[i] ?? 0
      values[i] = values[j] ?? 0
      values[j] = held
    }
    return values
  }
}

/** The numbers 0 … size − 1 in order. */
export function identity(size: number): Uint32Array {
  const values = new Uint32Array(size)
  for (let i = 0; i < size; i++) values[i] = i
  return values
}
