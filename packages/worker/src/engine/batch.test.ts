import { describe, expect, it } from 'vitest'
import { resultOf } from './batch.js'

const one = (logits: number[], label: number) => {
  const { correctTop1, correctTop5 } = resultOf(Float32Array.from(logits), Float32Array.of(0), Int32Array.of(label), 1, logits.length)
  return [correctTop1, correctTop5]
}

describe('resultOf', () => {
  it.each<[string, number[], number, number[]]>([
    ['the greatest logit', [0, 3, 1], 1, [1, 1]],
    ['the second of three, which is still among five', [0, 3, 1], 2, [0, 1]],
    ['a tie with a lower index: behind it', [2, 2, 0], 1, [0, 1]],
    ['a tie with a higher index: ahead of it', [2, 2, 0], 0, [1, 1]],
    ['the fifth of six', [9, 8, 7, 6, 5, 4], 4, [0, 1]],
    ['the sixth of six', [9, 8, 7, 6, 5, 4], 5, [0, 0]],
    ['six that tie, the fifth', [1, 1, 1, 1, 1, 1], 4, [0, 1]],
    ['six that tie, the sixth', [1, 1, 1, 1, 1, 1], 5, [0, 0]],
    ['the only class', [1], 0, [1, 1]],
    ['no number', [Number.NaN, 1, 2], 0, [0, 0]],
    ['a number among no numbers', [Number.NaN, 1, Number.NaN], 1, [1, 1]],
    ['infinity', [1, Infinity, 2], 1, [1, 1]],
  ])('judges %s', (_, logits, label, expected) => {
    expect(one(logits, label)).toEqual(expected)
  })

  it('adds losses in float64 and in sample order, and leaves padding out', () => {
    const losses = Float32Array.of(2 ** 24, 1, 1, 99)
    const result = resultOf(new Float32Array(8), losses, Int32Array.of(0, 1, 0, 0), 3, 2)
    expect(result).toEqual({ lossSum: 2 ** 24 + 2, samples: 3, correctTop1: 2, correctTop5: 3 })
  })

  it('returns a loss that is not finite as it is', () => {
    expect(resultOf(new Float32Array(2), Float32Array.of(Number.NaN), Int32Array.of(0), 1, 2).lossSum).toBeNaN()
  })
})
