import { describe, expect, it } from 'vitest'
import { GradientNorm } from './gradient-norm.js'

/** The factor for sums of slices that come in this order. */
function factorOf(clipNorm: number, slices: readonly (readonly number[])[], order = [...slices.keys()]): number | undefined {
  const norm = new GradientNorm(clipNorm, slices.length)
  return order.map((slice) => norm.add(slice, slices[slice] ?? [])).at(-1)
}

describe('the factor of a gradient', () => {
  it.each<[why: string, clipNorm: number, sums: number[], factor: number]>([
    ['the norm is the limit', 5, [9, 16], 1],
    ['the norm is below it', 6, [9, 16], 1],
    ['the norm is above it: rounded to float32 once', 1.5, [9, 16], Math.fround(0.3)],
    ['there is no gradient', 1, [0, 0], 1],
    ['an element is infinite: the update shall meet it as it is', 1, [Infinity, 1], 1],
    ['an element is not a number', 1, [1, NaN], 1],
    ['the norm is far beyond float32', 1, [1e90, 0], Math.fround(1e-45)],
  ])('where %s', (_, clipNorm, sums, factor) => {
    expect(factorOf(clipNorm, [sums])).toBe(factor)
  })

  // 2⁶⁰ + 64 is 2⁶⁰ in float64, and 64 + 64 + … + 2⁶⁰ is not; the limit is such that the factor lies just above the middle of two float32
  // numbers, and would lie below it with the larger sum
  const chunks = [2 ** 60, ...new Array<number>(200).fill(64)]
  const limit = (0.5 + 2 ** -25) * 2 ** 30 * (1 + 2 ** -50)
  it.each([
    [[], [0]],
    [[2], [0, 1]],
    [[2], [1, 0]],
    [
      [1, 100],
      [2, 0, 1],
    ],
  ])('does not depend on how chunks are cut into slices (at %j), nor on which slice comes first (%j)', (cuts, order) => {
    const slices = [0, ...cuts].map((from, index) => chunks.slice(from, cuts[index]))
    expect(factorOf(limit, slices, order)).toBe(0.5 + 2 ** -24)
  })

  it('waits for all slices, step after step', () => {
    const norm = new GradientNorm(1, 2)
    expect(norm.add(1, [9])).toBeUndefined()
    expect(norm.add(0, [16])).toBe(Math.fround(0.2))
    norm.clear()
    expect(norm.add(0, [4])).toBeUndefined()
    expect(() => norm.add(0, [4])).toThrow(/once a step/)
  })
})
