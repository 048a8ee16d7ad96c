import { describe, expect, it } from 'vitest'
import { epochOrder, packingOrder, SampleStream } from './sample-stream.js'

const sorted = (order: Uint32Array): number[] => [...order].sort((a, b) => a - b)
const counting = (size: number): number[] => Array.from({ length: size }, (_, i) => i)

describe('epochOrder', () => {
  it.each([1, 2, 3, 10, 257, 5000])('is a permutation of %i samples in every epoch', (size) => {
    for (const epoch of [0, 1, 2, 1000]) expect(sorted(epochOrder({ size, seed: 1, shuffle: 'full' }, epoch))).toEqual(counting(size))
  })

  it('differs by epoch and by seed, and repeats for the same', () => {
    const order = (seed: number, epoch: number): number[] => [...epochOrder({ size: 100, seed, shuffle: 'full' }, epoch)]
    expect(order(1, 0)).toEqual(order(1, 0))
    expect(order(1, 0)).not.toEqual(order(1, 1))
    expect(order(1, 0)).not.toEqual(order(2, 0))
  })

  it('is what an independent Philox and Fisher–Yates give', () => {
    expect([...epochOrder({ size: 10, seed: 1, shuffle: 'full' }, 0)]).toEqual([3, 6, 8, 2, 1, 4, 0, 5, 9, 7])
  })

  it('puts every sample first about equally often', () => {
    const firsts = new Array<number>(6).fill(0)
    for (let epoch = 0; epoch < 6000; epoch++) {
      const first = epochOrder({ size: 6, seed: 3, shuffle: 'full' }, epoch)[0] ?? 0
      firsts[first] = (firsts[first] ?? 0) + 1
    }
    // χ² of 5 degrees of freedom stays below 20.5 in 999 of 1000 cases; the draws are fixed, so this cannot flicker.
    expect(firsts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(20.5)
  })

  it('keeps blocks together and shuffles both them and what is in them', () => {
    const blocks = [40, 1, 30, 29]
    const orders = [0, 1, 2, 3].map((epoch) => epochOrder({ size: 100, seed: 1, shuffle: 'block', blocks }, epoch))
    const blockOf = (sample: number): number => (sample < 40 ? 0 : sample < 41 ? 1 : sample < 71 ? 2 : 3)
    for (const order of orders) {
      expect(sorted(order)).toEqual(counting(100))
      expect([...order].filter((sample, i) => i > 0 && blockOf(sample) !== blockOf(order[i - 1] ?? 0))).toHaveLength(3)
    }
    expect(new Set(orders.map((order) => [...order].map(blockOf).join())).size).toBeGreaterThan(1)
    const inside = orders.map((order) => [...order].filter((sample) => sample < 40).join())
    expect(new Set([...inside, counting(40).join()]).size).toBe(5)
  })

  it('is the full shuffle when there are no blocks', () => {
    expect(epochOrder({ size: 50, seed: 1, shuffle: 'block' }, 2)).toEqual(epochOrder({ size: 50, seed: 1, shuffle: 'full' }, 2))
  })
})

describe('SampleStream', () => {
  it('crosses the border of epochs, position by position', () => {
    const stream = new SampleStream({ size: 7, seed: 5, shuffle: 'full' })
    const expected = [0, 1, 2, 3].flatMap((epoch) => [...epochOrder({ size: 7, seed: 5, shuffle: 'full' }, epoch)])
    expect(expected.map((_, position) => stream.sample(position))).toEqual(expected)
    expect([0, 6, 7, 13, 14].map((position) => stream.epochOf(position))).toEqual([0, 0, 1, 1, 2])
  })

  it('has no state: any order of asking gives the same', () => {
    const stream = new SampleStream({ size: 7, seed: 5, shuffle: 'full' })
    const forward = counting(70).map((position) => stream.sample(position))
    const backward = counting(70)
      .reverse()
      .map((position) => stream.sample(position))
      .reverse()
    expect(backward).toEqual(forward)
    const jumping = counting(70).map((i) => (i * 29) % 70)
    expect(jumping.map((position) => new SampleStream({ size: 7, seed: 5, shuffle: 'full' }).sample(position))).toEqual(
      jumping.map((position) => forward[position]),
    )
  })

  it('follows the data set without shuffling', () => {
    const stream = new SampleStream({ size: 3, seed: 5, shuffle: 'none' })
    expect(counting(7).map((position) => stream.sample(position))).toEqual([0, 1, 2, 0, 1, 2, 0])
  })
})

describe('packingOrder', () => {
  it('is a permutation of its own', () => {
    expect(sorted(packingOrder(100, 1))).toEqual(counting(100))
    expect(packingOrder(100, 1)).not.toEqual(epochOrder({ size: 100, seed: 1, shuffle: 'full' }, 0))
  })
})
