import { describe, expect, it } from 'vitest'
import { Prefetch } from './prefetch.js'
import { positionOf, positionsOf, prefetchCapacity } from './span-batches.js'

/** A loader whose batches are ready when the test says so. */
function harness(capacity: number, concurrency = 1) {
  const started: number[] = []
  const ready = new Map<number, () => void>()
  const prefetch = new Prefetch({
    load: async (key: number) => {
      started.push(key)
      await new Promise<void>((resolve) => ready.set(key, resolve))
      return `batch ${String(key)}`
    },
    capacity,
    concurrency,
  })
  const finish = async (key: number): Promise<void> => {
    ready.get(key)?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { prefetch, started, finish }
}

describe('Prefetch', () => {
  it('decodes in the order of the plan, one at a time, and no more than it may keep', async () => {
    const { prefetch, started, finish } = harness(2)
    prefetch.plan([10, 20, 30])
    expect(started).toEqual([10])
    await finish(10)
    expect(started).toEqual([10, 20])
    await finish(20)
    expect(started).toEqual([10, 20])
    expect(await prefetch.take(10)).toBe('batch 10')
    expect(started).toEqual([10, 20, 30])
  })

  it('keeps what a right hint decoded and forgets what a wrong one did', async () => {
    const { prefetch, started, finish } = harness(4)
    prefetch.plan([1, 2, 3])
    await finish(1)
    await finish(2)
    await finish(3)
    prefetch.plan([2, 5])
    expect(prefetch.size).toBe(2)
    expect(await prefetch.take(2)).toBe('batch 2')
    expect(started).toEqual([1, 2, 3, 5])
  })

  it('goes on with what was planned when more is', async () => {
    const { prefetch, started, finish } = harness(3)
    prefetch.plan([1, 2])
    await finish(1)
    expect(await prefetch.take(1)).toBe('batch 1')
    prefetch.planMore([2, 3])
    expect(started).toEqual([1, 2])
    await finish(2)
    expect(started).toEqual([1, 2, 3])
  })

  it('loads at once what nobody planned', async () => {
    const { prefetch, finish } = harness(1)
    const taken = prefetch.take(7)
    await finish(7)
    expect(await taken).toBe('batch 7')
    expect(prefetch.size).toBe(0)
  })

  it('gives an error to whoever takes the batch', async () => {
    const prefetch = new Prefetch({
      load: async (key: number) => await Promise.reject(new Error(`record ${String(key)}`)),
      capacity: 2,
      concurrency: 1,
    })
    prefetch.plan([4])
    await expect(prefetch.take(4)).rejects.toThrow('record 4')
  })
})

describe('span batches', () => {
  it('places leaves and micro-batches in the stream', () => {
    const batch = { global: 24, micro: 3, leaf: 2 }
    expect(positionOf(batch, 0, 0, 0)).toBe(0)
    expect(positionOf(batch, 2, 1, 1)).toBe(2 * 24 + 9)
    expect(positionsOf(batch, 1, { first: 1, count: 2 })).toEqual([30, 33, 36, 39])
  })

  it.each([
    { samples: 4, sampleBytes: 602_112, capacity: 32 },
    { samples: 32, sampleBytes: 602_112, capacity: 6 },
    { samples: 256, sampleBytes: 602_112, capacity: 2 },
  ])('keeps $capacity batches of $samples samples', ({ samples, sampleBytes, capacity }) => {
    expect(prefetchCapacity(samples, sampleBytes)).toBe(capacity)
  })
})
