import { childrenOf, isNode, maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'
import { describe, expect, it } from 'vitest'
import { accumulatorsOf, afterWithdrawal, summationPlan, type Instruction } from './summation-plan.js'

/** What the tree says: leaves written out, left before right, a leaf of k micro-batches added left to right. */
function definition(node: LeafRange, microBatches: number): string {
  if (node.count > 1) {
    const [left, right] = childrenOf(node)
    return `(${definition(left, microBatches)}+${definition(right, microBatches)})`
  }
  let text = `${String(node.first)}.0`
  for (let micro = 1; micro < microBatches; micro++) text = `(${text}+${String(node.first)}.${String(micro)})`
  return text
}

/** Follows a plan with text in the place of gradients. */
function follow(plan: readonly Instruction[], accumulators = new Map<number, string>()): Map<string, string> {
  const sent = new Map<string, string>()
  for (const instruction of plan) {
    if (instruction.kind === 'gradient') {
      const { accumulator, leaf, micro, mode } = instruction
      const text = `${String(leaf)}.${String(micro)}`
      const before = accumulators.get(accumulator)
      expect(before === undefined).toBe(mode === 'copy')
      accumulators.set(accumulator, before === undefined ? text : `(${before}+${text})`)
    } else if (instruction.kind === 'add') {
      accumulators.set(instruction.into, `(${String(accumulators.get(instruction.into))}+${String(accumulators.get(instruction.from))})`)
      accumulators.delete(instruction.from)
    } else {
      sent.set(`${String(instruction.node.first)}+${String(instruction.node.count)}`, String(accumulators.get(instruction.accumulator)))
      accumulators.delete(instruction.accumulator)
    }
  }
  expect(accumulators.size).toBe(0)
  return sent
}

describe('summationPlan', () => {
  it('makes the nodes of the tree for every span of up to 17 leaves', () => {
    for (let leaves = 1; leaves <= 17; leaves++) {
      for (let first = 0; first < leaves; first++) {
        for (let count = 1; count <= leaves - first; count++) {
          for (const microBatches of [1, 3]) {
            const plan = summationPlan({ leaves, ranges: [{ first, count }], microBatches })
            const expected = maximalNodes(leaves, { first, count }).map((node) => [
              `${String(node.first)}+${String(node.count)}`,
              definition(node, microBatches),
            ])
            expect([...follow(plan)]).toEqual(expected)
          }
        }
      }
    }
  })

  it('computes leaves in ascending order, each once', () => {
    const plan = summationPlan({ leaves: 13, ranges: [{ first: 3, count: 9 }], microBatches: 2 })
    const computed = plan.flatMap((instruction) => (instruction.kind === 'gradient' && instruction.leafFinished ? [instruction.leaf] : []))
    expect(computed).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11])
  })

  it.each([
    { leaves: 1, microBatches: 1, most: 1 },
    { leaves: 2, microBatches: 1, most: 1 },
    { leaves: 4, microBatches: 1, most: 2 },
    { leaves: 8, microBatches: 1, most: 3 },
    { leaves: 8, microBatches: 2, most: 4 },
    { leaves: 64, microBatches: 1, most: 6 },
  ])('needs $most accumulators for $leaves leaves of $microBatches micro-batches', ({ leaves, microBatches, most }) => {
    expect(accumulatorsOf(summationPlan({ leaves, ranges: [{ first: 0, count: leaves }], microBatches }))).toBe(most)
  })

  it('goes on around what is summed already after a withdrawal', () => {
    // leaves 0, 1 and 2 of 8 are done, 4 to 7 are withdrawn
    const accumulators = new Map([
      [0, '(0.0+1.0)'],
      [1, '2.0'],
    ])
    const ranges = afterWithdrawal({ first: 0, count: 8 }, new Set([0, 1, 2]), new Set([4, 5, 6, 7]))
    const held = new Map([
      ['0+2', 0],
      ['2+1', 1],
    ])
    const sent = follow(summationPlan({ leaves: 8, ranges, microBatches: 1, held, firstAccumulator: 2 }), accumulators)
    expect([...sent]).toEqual([['0+4', '((0.0+1.0)+(2.0+3.0))']])
  })
})

describe('leaves apart', () => {
  it.each([1, 2])('are sent as nodes of their own, and every other node is as large as it can be (%i micro-batches)', (microBatches) => {
    for (const apart of [[3], [0], [7], [2, 3], [0, 5]]) {
      const sent = follow(summationPlan({ leaves: 8, ranges: [{ first: 0, count: 8 }], microBatches, apart }))
      const nodes = [...sent.keys()].map((key) => {
        const [first = 0, count = 0] = key.split('+').map(Number)
        return { first, count }
      })
      for (const leaf of apart) expect(sent.has(`${String(leaf)}+1`)).toBe(true)
      for (const node of nodes) expect(sent.get(`${String(node.first)}+${String(node.count)}`)).toBe(definition(node, microBatches))
      expect(nodes.reduce((sum, { count }) => sum + count, 0)).toBe(8)
    }
    const keys = [...follow(summationPlan({ leaves: 8, ranges: [{ first: 0, count: 8 }], microBatches, apart: [3] })).keys()]
    expect(keys).toEqual(['0+2', '2+1', '3+1', '4+4'])
  })
})

describe('afterWithdrawal', () => {
  it.each([
    { name: 'nothing done, all withdrawn', done: [], withdrawn: [2, 3, 4, 5], left: [] },
    { name: 'the end withdrawn', done: [2], withdrawn: [4, 5], left: [{ first: 2, count: 2 }] },
    {
      name: 'what is done stays',
      done: [2, 3],
      withdrawn: [2, 3, 4],
      left: [
        { first: 2, count: 2 },
        { first: 5, count: 1 },
      ],
    },
    { name: 'leaves of others do not matter', done: [], withdrawn: [0, 1, 9], left: [{ first: 2, count: 4 }] },
  ])('$name', ({ done, withdrawn, left }) => {
    expect(afterWithdrawal({ first: 2, count: 4 }, new Set(done), new Set(withdrawn))).toEqual(left)
  })

  it('leaves ranges whose maximal nodes are nodes', () => {
    const ranges = afterWithdrawal({ first: 1, count: 9 }, new Set([1, 2]), new Set([4, 7]))
    for (const range of ranges) for (const node of maximalNodes(11, range)) expect(isNode(11, node)).toBe(true)
  })
})
