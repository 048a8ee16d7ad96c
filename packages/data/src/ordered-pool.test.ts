import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { orderedPool } from './ordered-pool.js'

const collect = async <T>(results: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const result of results) all.push(result)
  return all
}

describe('orderedPool', () => {
  it.each([1, 2, 3, 8, 100])('keeps the order and runs at most %i at once', async (parallelism) => {
    let [running, most] = [0, 0]
    const items = Array.from({ length: 30 }, (_, i) => i)
    const results = await collect(
      orderedPool(items, parallelism, async (i) => {
        most = Math.max(most, ++running)
        await sleep((i * 7) % 5)
        running--
        return i * i
      }),
    )
    expect(results).toEqual(items.map((i) => i * i))
    expect(most).toBe(Math.min(parallelism, 30))
  })

  it('reports the first failure in order, once nothing runs any more', async () => {
    const begun: number[] = []
    let running = 0
    const failing = collect(
      orderedPool([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2, async (i) => {
        begun.push(i)
        running++
        await sleep(i === 2 ? 1 : 5)
        running--
        if (i >= 2) throw new Error(`item ${String(i)}`)
        return i
      }),
    )
    await expect(failing).rejects.toThrow('item 2')
    expect(running).toBe(0)
    expect(begun.length).toBeLessThan(10)
  })

  it('waits for what is under way when the consumer stops early', async () => {
    let running = 0
    for await (const _ of orderedPool([1, 2, 3, 4, 5, 6], 3, async () => {
      running++
      await sleep(2)
      running--
    })) {
      break
    }
    expect(running).toBe(0)
  })
})
