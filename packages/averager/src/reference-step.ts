import { childrenOf, type LeafRange } from '@lockstep/shared/reduction/tree.js'
import { philox } from '@lockstep/shared/random/philox.js'

/** What a step must give, by the letter of its definition, in plain JavaScript. For tests: it shares no code with the averager. */

/** A leaf gradient nobody could add in another order unnoticed: magnitudes over 24 binades, denormals and zeros of both signs. */
export function leafGradient(step: number, leaf: number, size: number): Float32Array {
  const values = new Float32Array(size)
  const bits = new Int32Array(values.buffer)
  const words = new Uint32Array(4)
  for (let at = 0; at < size; at += 4) {
    philox(at / 4, step, leaf, 0, 99, 0, words)
    for (let lane = 0; lane < Math.min(4, size - at); lane++) {
      const word = words[lane] ?? 0
      const exponent = 97 + ((word >>> 23) % 24)
      const special = (word >>> 4) & 0xff
      // sign and fraction as drawn; one in 128 is a zero, one in 128 a denormal
      bits[at + lane] = special < 2 ? word & 0x80000000 : special < 4 ? word & 0x807fffff : (word & 0x807fffff) | (exponent << 23)
    }
  }
  return values
}

/** The partial gradient of a node: float32, left + right. */
export function nodeGradient(step: number, node: LeafRange, size: number): Float32Array {
  if (node.count === 1) return leafGradient(step, node.first, size)
  const [left, right] = childrenOf(node)
  const sum = nodeGradient(step, left, size)
  const other = nodeGradient(step, right, size)
  for (let i = 0; i < size; i++) sum[i] = Math.fround((sum[i] ?? 0) + (other[i] ?? 0))
  return sum
}

/**
 * v' = μ·v − ε·(g + λ·w), w' = w + v', or, with `nesterov`, w' = w + (μ·v' − ε·(g + λ·w)), every operation rounded to float32, in place.
 * @param decayOf λ of an element
 */
export function referenceUpdate(
  weights: Float32Array,
  velocity: Float32Array,
  gradient: Float32Array,
  scalars: { momentum: number; rate: number; decayOf: (index: number) => number; nesterov?: boolean },
): void {
  const f = Math.fround
  const [momentum, rate] = [f(scalars.momentum), f(scalars.rate)]
  for (let i = 0; i < weights.length; i++) {
    const w = weights[i] ?? 0
    const decayed = f((gradient[i] ?? 0) + f(f(scalars.decayOf(i)) * w))
    const change = f(rate * decayed)
    const v = f(f(momentum * (velocity[i] ?? 0)) - change)
    velocity[i] = v
    weights[i] = f(w + (scalars.nesterov === true ? f(f(momentum * v) - change) : v))
  }
}
