import { describe, expect, it } from 'vitest'
import { childrenOf, isNode, maximalNodes, parentOf, splitPoint, type LeafRange } from './tree.js'

const node = (first: number, count: number): LeafRange => ({ first, count })

/** Every node of the tree by its definition, and nothing else. */
function allNodes(range: LeafRange): LeafRange[] {
  if (range.count === 1) return [range]
  let split = 1
  while (split * 2 < range.count) split *= 2
  return [range, ...allNodes(node(range.first, split)), ...allNodes(node(range.first + split, range.count - split))]
}

function inside(inner: LeafRange, outer: LeafRange): boolean {
  return inner.first >= outer.first && inner.first + inner.count <= outer.first + outer.count
}

/** All ranges of at most one leaf too many, empty ones too. */
function ranges(leaves: number): LeafRange[] {
  const side = Array.from({ length: leaves + 2 }, (_, index) => index)
  return side.flatMap((first) => side.map((count) => node(first, count)))
}

describe('reduction tree', () => {
  it.each([
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 4],
    [8, 4],
    [9, 8],
    [63, 32],
    [64, 32],
    [65, 64],
  ])('%i leaves split after %i', (leaves, left) => {
    expect(splitPoint(leaves)).toBe(left)
    expect(childrenOf(node(3, leaves))).toEqual([node(3, left), node(3 + left, leaves - left)])
  })

  it('has 2M − 1 nodes, and knows them from other ranges, for M = 1…64', () => {
    for (let leaves = 1; leaves <= 64; leaves++) {
      const nodes = new Set(allNodes(node(0, leaves)).map(({ first, count }) => `${String(first)}+${String(count)}`))
      expect(nodes.size).toBe(2 * leaves - 1)
      const known = ranges(leaves).filter((range) => isNode(leaves, range))
      expect(new Set(known.map(({ first, count }) => `${String(first)}+${String(count)}`))).toEqual(nodes)
    }
  })

  it('knows parent, side and sibling of every node, for M = 1…64', () => {
    for (let leaves = 1; leaves <= 64; leaves++) {
      expect(parentOf(leaves, node(0, leaves))).toBeUndefined()
      for (const parent of allNodes(node(0, leaves)).filter(({ count }) => count > 1)) {
        const [left, right] = childrenOf(parent)
        expect(parentOf(leaves, left)).toEqual({ parent, side: 'left', sibling: right })
        expect(parentOf(leaves, right)).toEqual({ parent, side: 'right', sibling: left })
      }
    }
  })

  it('cuts every span into its maximal nodes, in leaf order, for M = 1…64', () => {
    for (let leaves = 1; leaves <= 64; leaves++) {
      const nodes = allNodes(node(0, leaves))
      for (let first = 0; first < leaves; first++) {
        for (let count = 1; count <= leaves - first; count++) {
          const span = node(first, count)
          const found = maximalNodes(leaves, span)
          const within = nodes.filter((candidate) => inside(candidate, span))
          const maximal = within.filter((candidate) => !within.some((other) => other.count > candidate.count && inside(candidate, other)))
          if (found.length !== maximal.length) expect(found).toEqual(maximal)
          let at = first
          for (const part of found) {
            if (part.first !== at || !maximal.some((other) => other.first === part.first && other.count === part.count))
              expect(found).toEqual(maximal)
            at += part.count
          }
          if (at !== first + count) expect(at).toBe(first + count)
        }
      }
    }
  })

  it('cuts an empty span into nothing', () => {
    expect(maximalNodes(8, node(3, 0))).toEqual([])
  })
})
