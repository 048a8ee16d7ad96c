import { describe, expect, it } from 'vitest'
import { CHUNK_FLOATS, chunksOf, slicesOf } from './layout.js'

describe('slices', () => {
  it.each([
    [1, 1, [1]],
    [1, 4, [1]],
    [CHUNK_FLOATS, 2, [CHUNK_FLOATS]],
    [CHUNK_FLOATS + 1, 2, [CHUNK_FLOATS, 1]],
    [3 * CHUNK_FLOATS + 5, 2, [2 * CHUNK_FLOATS, CHUNK_FLOATS + 5]],
    [1_000_003, 3, [CHUNK_FLOATS, CHUNK_FLOATS, 1_000_003 - 2 * CHUNK_FLOATS]],
  ])('%i elements in %i slices', (size, count, sizes) => {
    expect(slicesOf(size, count).map((slice) => slice.size)).toEqual(sizes)
  })

  it('cover the vector without gap or overlap, are cut at whole chunks, and differ by one chunk at most', () => {
    for (const size of [1, 5, CHUNK_FLOATS - 1, CHUNK_FLOATS, CHUNK_FLOATS + 1, 9_231_114, 138_357_544]) {
      for (let count = 1; count <= 17; count++) {
        const slices = slicesOf(size, count)
        expect(slices.length).toBeLessThanOrEqual(count)
        let at = 0
        for (const [index, slice] of slices.entries()) {
          expect(slice.index).toBe(index)
          expect(slice.offset).toBe(at)
          expect(slice.offset % CHUNK_FLOATS).toBe(0)
          expect(slice.size).toBeGreaterThan(0)
          at += slice.size
        }
        expect(at).toBe(size)
        const chunks = slices.map(chunksOf)
        expect(Math.max(...chunks) - Math.min(...chunks)).toBeLessThanOrEqual(1)
        expect(chunks.reduce((sum, one) => sum + one, 0)).toBe(Math.ceil(size / CHUNK_FLOATS))
      }
    }
  })
})
