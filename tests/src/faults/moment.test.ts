import { describe, expect, it } from 'vitest'
import { momentOf } from './moment.js'

const WINDOW = { firstStep: 6, lastStep: 20, mostDelayMs: 200 }

describe('momentOf', () => {
  it('is the same for the same fault, repetition and seed, whatever was asked before', () => {
    const first = momentOf('worker killed', 3, 1, WINDOW)
    const choices = [first.draw(1000), first.draw(1000), first.draw(1000), first.draw(1000), first.draw(1000)]
    momentOf('another', 0, 1, WINDOW)
    const again = momentOf('worker killed', 3, 1, WINDOW)
    expect([again.step, again.delayMs]).toEqual([first.step, first.delayMs])
    expect(choices.map(() => again.draw(1000))).toEqual(choices)
  })

  it('differs between repetitions, faults and seeds, and stays inside its window', () => {
    const moments = ['a', 'b', 'c'].flatMap((fault) =>
      [0, 1, 2, 3, 4].flatMap((repetition) => [1, 2].map((seed) => momentOf(fault, repetition, seed, WINDOW))),
    )
    expect(new Set(moments.map(({ step, delayMs }) => `${String(step)} ${String(delayMs)}`)).size).toBeGreaterThan(25)
    for (const { step, delayMs } of moments) {
      expect(step).toBeGreaterThanOrEqual(6)
      expect(step).toBeLessThanOrEqual(20)
      expect(delayMs).toBeLessThanOrEqual(200)
    }
  })
})
