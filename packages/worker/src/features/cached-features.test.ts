import { describe, expect, it } from 'vitest'
import { orderOf } from './cached-features.js'

/** Two processes that take turns: how many batches are made in all, both working on one at the same time making it twice. */
function madeByTwo(batches: number, pids: readonly [number, number]): number {
  const [left, right] = pids.map((pid) => orderOf(batches, pid))
  const done = new Set<number>()
  const next = (order: number[] | undefined): number | undefined => order?.find((batch) => !done.has(batch))
  let made = 0
  for (let pair = [next(left), next(right)]; pair[0] !== undefined; pair = [next(left), next(right)]) {
    made += 2
    for (const batch of pair) if (batch !== undefined) done.add(batch)
  }
  return made
}

describe('the order in which features are made', () => {
  it('has every batch once', () => {
    for (const pid of [1, 2, 15127, 4194303])
      expect(orderOf(208, pid).sort((a, b) => a - b)).toEqual(Array.from({ length: 208 }, (_, i) => i))
  })

  it('lets two neighbouring processes share the work with little done twice', () => {
    for (let pid = 15000; pid < 15040; pid++) expect(madeByTwo(208, [pid, pid + 1])).toBeLessThan(208 * 1.1)
  })
})
