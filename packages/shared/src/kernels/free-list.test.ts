import { describe, expect, it } from 'vitest'
import { FreeList } from './free-list.js'

describe('free list', () => {
  it('gives blocks one after the other from the start', () => {
    const list = new FreeList(100)
    expect([list.take(64), list.take(128), list.take(64)]).toEqual([100, 164, 292])
    expect(list.end).toBe(356)
  })

  it('uses a freed block again, first fit', () => {
    const list = new FreeList(0)
    const blocks = [list.take(64), list.take(64), list.take(64)]
    list.give(blocks[1] ?? -1)
    expect(list.take(128)).toBe(192)
    expect(list.take(64)).toBe(64)
  })

  it('joins neighbours whatever the order of freeing', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [0, 2, 1],
      [1, 0, 2],
    ]) {
      const list = new FreeList(0)
      const blocks = [list.take(64), list.take(64), list.take(64)]
      for (const index of order) list.give(blocks[index] ?? -1)
      expect(list.take(192)).toBe(0)
      expect(list.end).toBe(192)
    }
  })

  it('extends a free tail instead of leaving it behind', () => {
    const list = new FreeList(0)
    list.take(64)
    const tail = list.take(64)
    list.give(tail)
    expect(list.take(256)).toBe(64)
    expect(list.end).toBe(320)
    expect(list.take(64)).toBe(320)
  })

  it('refuses to free twice', () => {
    const list = new FreeList(0)
    const block = list.take(64)
    list.give(block)
    expect(() => {
      list.give(block)
    }).toThrow(/once/)
  })

  it('never lets two taken blocks overlap, over a long random life', () => {
    const list = new FreeList(64)
    const taken = new Map<number, number>()
    let state = 7
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return (state >>> 8) % below
    }
    for (let turn = 0; turn < 2000; turn++) {
      if (taken.size > 0 && random(2) === 0) {
        const offset = [...taken.keys()][random(taken.size)] ?? -1
        taken.delete(offset)
        list.give(offset)
      } else {
        const bytes = 64 * (1 + random(8))
        const offset = list.take(bytes)
        for (const [other, length] of taken) expect(offset + bytes <= other || other + length <= offset).toBe(true)
        taken.set(offset, bytes)
      }
    }
    for (const offset of taken.keys()) list.give(offset)
    expect(list.take(list.end - 64)).toBe(64)
  })
})
