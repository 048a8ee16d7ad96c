import { describe, expect, it } from 'vitest'
import { nearestNeighbourTop1, nearestRow } from './nearest-neighbour.js'

/** The definition, without any short cut. */
function nearestByDefinition(train: Uint8Array, rowLength: number, query: Uint8Array): number {
  const distances = Array.from({ length: train.length / rowLength }, (_, row) =>
    query.reduce((sum, value, at) => sum + ((train[row * rowLength + at] ?? 0) - value) ** 2, 0),
  )
  return distances.indexOf(Math.min(...distances))
}

/** Small repeatable numbers, 0–255. */
function noise(length: number, seed: number): Uint8Array {
  let word = seed
  return Uint8Array.from({ length }, () => (word = (Math.imul(word, 1103515245) + 12345) >>> 0) >>> 24)
}

describe('nearest neighbour on pixels', () => {
  it.each([1, 63, 64, 65, 200])('finds what the definition finds, rows of %i values', (rowLength) => {
    const train = noise(40 * rowLength, 7)
    for (let seed = 1; seed <= 20; seed++) {
      const query = noise(rowLength, seed)
      expect(nearestRow(train, rowLength, query)).toBe(nearestByDefinition(train, rowLength, query))
    }
  })

  it('takes the first of equally near ones', () => {
    expect(nearestRow(Uint8Array.of(9, 5, 5), 1, Uint8Array.of(5))).toBe(1)
  })

  it('counts the queries whose neighbour has their class', async () => {
    const train = { pixels: Uint8Array.of(0, 0, 255, 255), labels: Uint8Array.of(3, 4) }
    const queries = { pixels: Uint8Array.of(1, 2, 250, 240, 9, 9, 200, 255), labels: Uint8Array.of(3, 4, 4, 4) }
    const { top1 } = await nearestNeighbourTop1(train, queries)
    expect(top1).toBe(0.75)
  })
})
