const TWO_PI = 2 * Math.PI

/** A random word as a uniform number strictly between 0 and 1. @param word unsigned 32-bit */
export function uniformOf(word: number): number {
  return (word + 0.5) / 0x1_0000_0000
}

/**
 * Two independent standard normal numbers from two random words, by the method of Box & Muller (1958). Math.log, sqrt, cos and
 * sin alone: their bits are the same on every Node we support, those of Math.pow are not. |z| ≤ 6.77, since no word is
 * smaller than half of 2⁻³².
 * @param out receives the two numbers at `at`
 */
export function normalPair(word0: number, word1: number, out: Float64Array, at = 0): void {
  const radius = Math.sqrt(-2 * Math.log(uniformOf(word0)))
  const angle = TWO_PI * uniformOf(word1)
  out[at] = radius * Math.cos(angle)
  out[at + 1] = radius * Math.sin(angle)
}
