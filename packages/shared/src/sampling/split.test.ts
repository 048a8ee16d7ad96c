import { describe, expect, it } from 'vitest'
import { splitIndices } from './split.js'

const labels = Array.from({ length: 300 }, (_, i) => (i < 200 ? 0 : i < 290 ? 1 : i < 299 ? 2 : 3))

describe('splitIndices', () => {
  it('is stratified, disjoint, whole and ascending', () => {
    const { train, validation } = splitIndices(labels, 0.1, 1)
    expect([...train, ...validation].sort((a, b) => a - b)).toEqual(labels.map((_, i) => i))
    const counts = [0, 1, 2, 3].map((label) => [...validation].filter((i) => labels[i] === label).length)
    expect(counts).toEqual([20, 9, 1, 0]) // a class of one stays for training
    expect([...validation]).toEqual([...validation].sort((a, b) => a - b))
    expect([...train]).toEqual([...train].sort((a, b) => a - b))
  })

  it('depends on the seed, and on the members of a class alone', () => {
    const validation = (seed: number, some = labels): number[] => [...splitIndices(some, 0.1, seed).validation]
    expect(validation(1)).toEqual(validation(1))
    expect(validation(1)).not.toEqual(validation(2))
    expect(validation(1, labels.slice(0, 290))).toEqual(validation(1).filter((i) => i < 290))
  })

  it.each([
    [0.5, 2, 1],
    [0.001, 2, 1],
    [0.999, 10, 9],
    [0.25, 10, 3],
  ])('sets aside share %f of %i samples: %i', (share, size, expected) => {
    expect(splitIndices(new Uint8Array(size), share, 1).validation).toHaveLength(expected)
  })
})
