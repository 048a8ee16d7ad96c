import { describe, expect, it } from 'vitest'
import { fillDropoutMask } from './dropout-mask.js'

function maskOf(count: number, units: number, { rate = 0.5, seed = 1, firstPosition = 0, layer = 3 } = {}): Float32Array {
  const mask = new Float32Array(count * units).fill(Number.NaN)
  fillDropoutMask(mask, units, rate, seed, firstPosition, layer)
  return mask
}

describe('fillDropoutMask', () => {
  it.each([0.1, 0.5, 0.9])('drops a share of %f and scales up the others, so that the mean stays 1', (rate) => {
    const mask = maskOf(50, 1001, { rate })
    const dropped = mask.filter((value) => value === 0).length
    expect(mask.every((value) => value === 0 || value === Math.fround(1 / (1 - rate)))).toBe(true)
    expect(Math.abs(dropped / mask.length - rate)).toBeLessThan(5 * Math.sqrt((rate * (1 - rate)) / mask.length))
  })

  it('gives a sample the same mask in whatever micro-batch it is', () => {
    const whole = maskOf(8, 37, { firstPosition: 100 })
    for (let sample = 0; sample < 8; sample++) {
      expect(maskOf(1, 37, { firstPosition: 100 + sample })).toEqual(whole.subarray(sample * 37, (sample + 1) * 37))
    }
  })

  it('goes on beyond the first 2³² stream positions', () => {
    const across = maskOf(2, 64, { firstPosition: 2 ** 32 - 1 })
    expect(across.subarray(64)).toEqual(maskOf(1, 64, { firstPosition: 2 ** 32 }))
    expect(maskOf(1, 64, { firstPosition: 2 ** 32 })).not.toEqual(maskOf(1, 64))
  })

  it('differs by position, layer and seed', () => {
    const masks = [maskOf(1, 64), maskOf(1, 64, { firstPosition: 1 }), maskOf(1, 64, { layer: 4 }), maskOf(1, 64, { seed: 2 })]
    expect(new Set(masks.map((mask) => mask.join())).size).toBe(4)
  })
})
