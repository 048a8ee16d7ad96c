import { describe, expect, it } from 'vitest'
import { ValueAverage } from './value-average.js'

describe('ValueAverage', () => {
  it('is the weighted mean of values, padding left out, and of other means', () => {
    const average = new ValueAverage(2, [0, 1, 4])
    average.add(Float32Array.of(1, 2, 99), 0.5)
    average.add(Float32Array.of(3), 0.5)
    average.add(Float32Array.of(5), 0.5, 1)
    expect([...average.values]).toEqual([2, 3.5])
    expect([...average.losses(Int32Array.of(1, 2))]).toEqual([1, 0.25])
    expect([...average.ranked]).toEqual([-2, -1, -2, -3.5, -2.5, -0.5])
    const all = new ValueAverage(3, [0, 1, 4])
    all.addAverage(average, 0.5, 1)
    expect([...all.values]).toEqual([0, 1, 1.75])
  })
})
