import { describe, expect, it } from 'vitest'
import { resultOf } from '../engine/batch.js'
import { OutcomeTally } from './outcome-tally.js'
import { SoftMaxAverage } from './soft-max-average.js'

const logarithms = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, Math.log)

describe('SoftMaxAverage', () => {
  it('averages probabilities, not their logarithms, and leaves padding out', () => {
    const average = new SoftMaxAverage(2, 2)
    average.add(logarithms(0.9, 0.1, 0.5, 0.5, 1, 0), 0.5)
    average.add(logarithms(0.2, 0.8), 0.5)
    average.add(logarithms(0.1, 0.9), 0.5, 1)
    const expected = [0.55, 0.45, 0.3, 0.7]
    for (const [at, value] of expected.entries()) expect(average.probabilities[at]).toBeCloseTo(value, 7)
    const [first = 0, second = 0] = average.losses(Int32Array.of(1, 0))
    expect(first).toBeCloseTo(-Math.log(0.45), 7)
    expect(second).toBeCloseTo(-Math.log(0.3), 7)
  })

  it('takes in another average, from a sample on', () => {
    const all = new SoftMaxAverage(3, 2)
    const one = new SoftMaxAverage(1, 2)
    one.add(logarithms(0.25, 0.75), 1)
    all.addAverage(one, 0.5, 2)
    all.addAverage(one, 0.5, 2)
    expect([...all.probabilities.subarray(0, 4)]).toEqual([0, 0, 0, 0])
    expect(all.probabilities[5]).toBeCloseTo(0.75, 7)
  })

  it('keeps a loss finite where a probability is too small for any number, and no number where there is none', () => {
    const average = new SoftMaxAverage(2, 2)
    average.add(Float32Array.of(-2000, 0, Number.NaN, 0), 1)
    const [small = 0, none] = average.losses(Int32Array.of(0, 0))
    expect(small).toBeCloseTo(744.44, 2)
    expect(none).toBeNaN()
  })
})

describe('OutcomeTally', () => {
  it('counts classes and first choices of every sample', () => {
    const labels = Int32Array.of(0, 0, 1, 2, 2)
    const probabilities = Float64Array.of(0.5, 0.5, 0, 0.2, 0.3, 0.5, 0.1, 0.8, 0.1, 0.3, 0.4, 0.3, Number.NaN, Number.NaN, Number.NaN)
    const tally = new OutcomeTally(3)
    const result = resultOf(probabilities, new Float64Array(5), labels, 5, 3, (sample, rank, predicted, loss) =>
      tally.count(labels[sample] ?? -1, rank, predicted, loss),
    )
    expect(result).toMatchObject({ samples: 5, correctTop1: 2, correctTop5: 4 })
    expect(tally.confusion).toEqual([
      [1, 0, 1],
      [0, 1, 0],
      [0, 1, 0],
    ])
    expect(tally.perClass).toEqual([
      { samples: 2, top1: 1, top5: 2 },
      { samples: 1, top1: 1, top5: 1 },
      { samples: 2, top1: 0, top5: 1 },
    ])
  })
})
