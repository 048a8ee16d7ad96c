import { describe, expect, it } from 'vitest'
import { centerGeometry, cropOrigin, geometryOf } from './geometry.js'

const positions = Array.from({ length: 4000 }, (_, i) => i)

describe('geometryOf', () => {
  it('draws every scale of the range and none outside', () => {
    const scales = positions.map((position) => geometryOf(1, position, { shortSide: [256, 260], crop: 'random', flip: true }).shortSide)
    expect([...new Set(scales)].sort()).toEqual([256, 257, 258, 259, 260])
    for (const scale of new Set(scales)) expect(Math.abs(scales.filter((each) => each === scale).length - 800)).toBeLessThan(120)
  })

  it('draws every crop, corners included, and none outside', () => {
    const origins = positions.map((position) =>
      cropOrigin(geometryOf(1, position, { shortSide: 36, crop: 'random', flip: false }), 36, 34, 32),
    )
    expect([...new Set(origins.map(({ top }) => top))].sort()).toEqual([0, 1, 2, 3, 4])
    expect([...new Set(origins.map(({ left }) => left))].sort()).toEqual([0, 1, 2])
    expect(new Set(origins.map(({ top, left }) => top * 3 + left)).size).toBe(15)
  })

  it('flips about half, and none when not asked to', () => {
    const flips = (flip: boolean): number =>
      positions.filter((position) => geometryOf(1, position, { shortSide: 36, crop: 'center', flip }).flip).length
    expect(Math.abs(flips(true) - 2000)).toBeLessThan(130)
    expect(flips(false)).toBe(0)
  })

  it('is keyed by seed and the whole position', () => {
    const options = { shortSide: [256, 512], crop: 'random', flip: true } as const
    expect(geometryOf(1, 77, options)).toEqual(geometryOf(1, 77, options))
    expect(geometryOf(1, 77, options)).not.toEqual(geometryOf(2, 77, options))
    expect(geometryOf(1, 77, options)).not.toEqual(geometryOf(1, 78, options))
    expect(geometryOf(1, 77, options)).not.toEqual(geometryOf(1, 77 + 2 ** 32, options))
  })

  it('takes the centre when asked to, rounded down', () => {
    expect(cropOrigin(geometryOf(1, 5, { shortSide: 37, crop: 'center', flip: true }), 37, 50, 32)).toEqual({ top: 2, left: 9 })
    expect(cropOrigin(centerGeometry(32), 32, 32, 32)).toEqual({ top: 0, left: 0 })
  })
})
