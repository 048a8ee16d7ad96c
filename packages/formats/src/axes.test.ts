import { describe, expect, it } from 'vitest'
import { HWIO_FROM_OIHW, OIHW_FROM_HWIO, permuteAxes, reverseInputChannels } from './axes.js'

const count = (length: number): Float32Array => Float32Array.from({ length }, (_, index) => index)

describe('permuteAxes', () => {
  it('transposes a matrix', () => {
    expect([...permuteAxes(count(6), [2, 3], [1, 0])]).toEqual([0, 3, 1, 4, 2, 5])
  })

  it('puts every element of four axes where its indices say', () => {
    const [o, i, h, w] = [2, 3, 4, 5] as const
    const hwio = permuteAxes(count(o * i * h * w), [o, i, h, w], HWIO_FROM_OIHW)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        for (let c = 0; c < i; c++)
          for (let f = 0; f < o; f++) expect(hwio[((y * w + x) * i + c) * o + f]).toBe(((f * i + c) * h + y) * w + x)
  })

  it.each([[[2, 3, 4, 5]], [[7, 1, 1, 1]], [[1, 1, 3, 3]], [[5, 3, 1, 1]]])('of %j to and fro gives the same', (shape) => {
    const values = count(shape.reduce((product, side) => product * side, 1))
    const there = HWIO_FROM_OIHW.map((axis) => shape[axis] ?? 0)
    expect(permuteAxes(permuteAxes(values, shape, HWIO_FROM_OIHW), there, OIHW_FROM_HWIO)).toEqual(values)
  })

  it('leaves a vector alone', () => {
    expect(permuteAxes(count(4), [4], [0])).toEqual(count(4))
  })
})

describe('reverseInputChannels', () => {
  it('exchanges the rows of channels at every position of the kernel', () => {
    // 1 × 2 positions, 3 channels, 2 filters
    expect([...reverseInputChannels(count(12), [1, 2, 3, 2])]).toEqual([4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7])
  })

  it('twice is nothing', () => {
    expect(reverseInputChannels(reverseInputChannels(count(54), [3, 3, 3, 2]), [3, 3, 3, 2])).toEqual(count(54))
  })
})
