import { describe, expect, it } from 'vitest'
import { secondsLeft } from './remaining-time.js'

const done = (...pairs: [work: number, seconds: number][]): { work: number; seconds: number }[] =>
  pairs.map(([work, seconds]) => ({ work, seconds }))

describe('the time that is left', () => {
  it.each([
    ['one training, in proportion', done([10, 5]), [10, 20], 15],
    ['a start and a pace', done([10, 7], [20, 12]), [30], 17],
    ['equal sizes, in proportion', done([10, 4], [10, 6]), [10, 30], 20],
    ['a larger one that was quicker, in proportion', done([10, 9], [20, 6]), [30], 15],
    ['nothing left', done([10, 5]), [], 0],
  ])('%s', (_, measured, left, seconds) => {
    expect(secondsLeft(measured, left)).toBeCloseTo(seconds, 9)
  })

  it('is unknown before the first', () => {
    expect(secondsLeft([], [1])).toBeNaN()
  })
})
