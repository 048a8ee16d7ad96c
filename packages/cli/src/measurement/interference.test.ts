import { describe, expect, it } from 'vitest'
import { interferenceBetween, isDisturbed, parseCounters } from './interference.js'
import { median, summaryOf } from './statistics.js'

const STAT = 'cpu  100 0 50 1000 0 0 0 40 0 0\ncpu0 50 0 25 500 0 0 0 20 0 0\ncpu1 50 0 25 500 0 0 0 20 0 0\nintr 1\n'
const PRESSURE = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n'

describe('interference', () => {
  it('reads steal time, pressure and the number of processors', () => {
    expect(parseCounters(STAT, PRESSURE)).toEqual({ stealSeconds: 0.4, pressureSeconds: 2.5, processors: 2 })
    expect(parseCounters(STAT, '').pressureSeconds).toBeUndefined()
  })

  it.each([
    [0, 0, false],
    [0.03, 0.1, false],
    [0.5, 0, true],
    [0, 4, true],
  ])('steal %d s, pressure %d s in 10 s on 2 processors: disturbed %s', (steal, pressure, expected) => {
    const before = { stealSeconds: 1, pressureSeconds: 1, processors: 2 }
    const after = { stealSeconds: 1 + steal, pressureSeconds: 1 + pressure, processors: 2 }
    expect(isDisturbed(interferenceBetween(before, after, 10))).toBe(expected)
  })
})

describe('statistics', () => {
  it.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[5], 5],
  ])('the median of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected)
  })

  it('takes quartiles as NumPy does, and nothing from nothing', () => {
    expect(summaryOf([1, 2, 3, 4]).spread).toEqual([1.75, 3.25])
    expect(median([])).toBeNaN()
  })
})
