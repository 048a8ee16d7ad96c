import { describe, expect, it } from 'vitest'
import { colorShiftOf } from './color-shift.js'

const vectors = [
  [1, 0, 0],
  [0, 0.6, 0.8],
  [0, -0.8, 0.6],
]

describe('colorShiftOf', () => {
  it('has the covariance that eigenvalues and eigenvectors say, times std²', () => {
    const values = [0.04, 0.01, 0]
    const shifts = Array.from({ length: 20_000 }, (_, position) => colorShiftOf(1, position, 0.1, vectors, values))
    const moment = (i: 0 | 1 | 2, j: 0 | 1 | 2): number => shifts.reduce((sum, shift) => sum + shift[i] * shift[j], 0) / shifts.length
    // E[shift shiftᵀ] = (255 · std)² · Σ λ p pᵀ
    const scale = (255 * 0.1) ** 2
    expect(moment(0, 0) / (scale * 0.04)).toBeCloseTo(1, 1)
    expect(moment(1, 1) / (scale * 0.01 * 0.36)).toBeCloseTo(1, 1)
    expect(moment(1, 2) / (scale * 0.01 * 0.48)).toBeCloseTo(1, 1)
    expect(Math.abs(moment(0, 1))).toBeLessThan(0.02 * scale * 0.02)
    for (const channel of [0, 1, 2] as const)
      expect(Math.abs(shifts.reduce((sum, shift) => sum + shift[channel], 0) / shifts.length)).toBeLessThan(0.15)
  })

  it('moves along the eigenvectors only', () => {
    const [red, green, blue] = colorShiftOf(1, 9, 0.1, vectors, [0, 0.04, 0])
    expect(red).toBe(0)
    expect(green / blue).toBeCloseTo(0.75, 12)
  })

  it('is keyed by seed and position alone', () => {
    const shift = (seed: number, position: number): number[] => colorShiftOf(seed, position, 0.1, vectors, [0.04, 0.01, 0.001])
    expect(shift(1, 4)).toEqual(shift(1, 4))
    expect(shift(1, 4)).not.toEqual(shift(2, 4))
    expect(shift(1, 4)).not.toEqual(shift(1, 4 + 2 ** 32))
    expect(colorShiftOf(1, 4, 0, vectors, [0.04, 0.01, 0.001]).map(Math.abs)).toEqual([0, 0, 0])
  })
})
