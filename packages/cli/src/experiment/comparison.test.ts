import { describe, expect, it } from 'vitest'
import { compareErrors } from './comparison.js'

describe('two groups of trainings', () => {
  it.each([
    ['far apart', [0.02, 0.03], [0.2, 0.22], 1000, 'left'],
    ['far apart, the other way', [0.2, 0.22], [0.02, 0.03], 1000, 'right'],
    ['within the spread of the seeds', [0.02, 0.1], [0.08, 0.11], 100_000, 'neither'],
    ['within what so few pictures tell', [0.05], [0.07], 500, 'neither'],
    ['the same difference on many pictures', [0.05], [0.07], 50_000, 'left'],
    ['the same', [0.05, 0.05], [0.05, 0.05], 1_000_000, 'neither'],
  ])('%s', (_, left, right, pictures, better) => {
    expect(compareErrors(left, right, pictures).better).toBe(better)
  })

  it('say by how much, and how much it would have taken', () => {
    const { left, right, difference, margin } = compareErrors([0.1, 0.2], [0.3, 0.3], 10_000)
    expect([left, right, difference, margin].map((value) => Number(value.toFixed(6)))).toEqual([0.15, 0.3, -0.15, 0.1])
    // 2·√(0.5·0.5/100 + 0.5·0.5/100)
    expect(compareErrors([0.5], [0.5], 100).margin).toBeCloseTo(2 * Math.sqrt(0.005), 12)
  })
})
