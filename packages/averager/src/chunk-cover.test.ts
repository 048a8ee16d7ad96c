import { describe, expect, it } from 'vitest'
import { maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'
import { ChunkCover } from './chunk-cover.js'

const node = (first: number, count: number): LeafRange => ({ first, count })
const join = (left: string, right: string): string => `(${left}+${right})`

/** The definition, as text: which leaf is added to which. */
function definition(range: LeafRange): string {
  if (range.count === 1) return String(range.first)
  let split = 1
  while (split * 2 < range.count) split *= 2
  return join(definition(node(range.first, split)), definition(node(range.first + split, range.count - split)))
}

function arrive(cover: ChunkCover<string>, range: LeafRange): string {
  const placement = cover.place(range, definition(range))
  if (placement.outcome === 'accepted') cover.rise(range, join)
  return placement.outcome
}

describe('chunk cover', () => {
  it('adds siblings only, left to right, at once', () => {
    const cover = new ChunkCover<string>(5)
    arrive(cover, node(3, 1))
    arrive(cover, node(4, 1))
    expect(cover.root).toBeUndefined()
    arrive(cover, node(0, 2))
    arrive(cover, node(2, 1))
    expect(cover.root).toBe('(((0+1)+(2+3))+4)')
  })

  it.each([
    ['the same node', [node(4, 1)], node(4, 1), 'duplicate'],
    ['a node inside a covered one', [node(0, 4)], node(2, 2), 'duplicate'],
    ['a node inside a sum', [node(4, 1), node(5, 1)], node(4, 2), 'duplicate'],
    ['any node of a whole chunk', [node(0, 8)], node(7, 1), 'duplicate'],
    ['a node beside', [node(0, 4)], node(4, 1), 'accepted'],
    ['a node around', [node(0, 1), node(2, 2)], node(0, 4), 'accepted'],
  ])('%s', (_, before, arriving, outcome) => {
    const cover = new ChunkCover<string>(8)
    for (const range of before) arrive(cover, range)
    expect(cover.place(arriving, 'new').outcome).toBe(outcome)
  })

  it('tells what a node replaces and which leaves it newly covers', () => {
    const cover = new ChunkCover<string>(8)
    for (const range of [node(6, 1), node(1, 1), node(4, 1)]) arrive(cover, range)
    expect(cover.place(node(0, 8), 'all')).toEqual({
      outcome: 'accepted',
      replaced: ['6', '1', '4'],
      covered: [node(0, 1), node(2, 2), node(5, 1), node(7, 1)],
    })
    expect(cover.root).toBe('all')
  })

  it('keeps a finished chunk covered when its body is taken out, and forgets all when cleared', () => {
    const cover = new ChunkCover<string>(2)
    arrive(cover, node(0, 2))
    expect(cover.replaceRoot('done')).toBe('(0+1)')
    expect(arrive(cover, node(1, 1))).toBe('duplicate')
    expect(cover.clear()).toEqual(['done'])
    expect(arrive(cover, node(1, 1))).toBe('accepted')
  })

  it('gives the additions of the definition for M = 1…64 and every split into two spans', () => {
    for (let leaves = 1; leaves <= 64; leaves++) {
      const expected = definition(node(0, leaves))
      for (let split = 0; split <= leaves; split++) {
        const cover = new ChunkCover<string>(leaves)
        // the later span arrives first
        const spans = [node(split, leaves - split), node(0, split)].filter(({ count }) => count > 0)
        for (const span of spans) for (const range of maximalNodes(leaves, span)) arrive(cover, range)
        expect(cover.root).toBe(expected)
      }
    }
  })

  it('gives them for any split, in any order, with repetitions and overlapping splits', () => {
    let state = 5
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return (state >>> 8) % below
    }
    for (let round = 0; round < 500; round++) {
      const leaves = 1 + random(64)
      const cover = new ChunkCover<string>(leaves)
      let left = leaves
      const seen = new Set<number>()
      while (cover.root === undefined) {
        const first = random(leaves)
        const span = node(first, 1 + random(leaves - first))
        for (const range of maximalNodes(leaves, span)) arrive(cover, range)
        for (let leaf = span.first; leaf < span.first + span.count; leaf++) seen.add(leaf)
        left = leaves - seen.size
        if (left > 0) expect(cover.root).toBeUndefined()
      }
      expect(left).toBe(0)
      expect(cover.root).toBe(definition(node(0, leaves)))
    }
  })
})
