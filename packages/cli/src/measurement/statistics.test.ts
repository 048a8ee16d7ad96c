import { describe, expect, it } from 'vitest'
import { intervalOf } from './statistics.js'

describe('the interval of a mean', () => {
  it('is Student’s, on logarithms', () => {
    // by hand: logarithms 0, 1, 2; mean 1, standard deviation 1, t(2) = 4.303
    const { mean, range, samples } = intervalOf([1, Math.E, Math.E ** 2])
    expect(mean).toBeCloseTo(Math.E)
    expect(Math.log(range?.[0] ?? 0)).toBeCloseTo(1 - 4.303 / Math.sqrt(3))
    expect(Math.log(range?.[1] ?? 0)).toBeCloseTo(1 + 4.303 / Math.sqrt(3))
    expect(samples).toBe(3)
  })

  it('is not told from one sample, and nothing from none', () => {
    expect(intervalOf([4])).toMatchObject({ range: null, samples: 1 })
    expect(intervalOf([4]).mean).toBeCloseTo(4)
    expect(intervalOf([]).mean).toBeNaN()
  })

  it('goes on beyond the table', () => {
    const { range } = intervalOf(Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 1 : 2)))
    expect(range?.every(Number.isFinite)).toBe(true)
  })
})
