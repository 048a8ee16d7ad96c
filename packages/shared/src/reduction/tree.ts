import { invariant } from '../errors/train-error.js'

/**
 * The reduction tree: which partial gradients are added to which. A node of n > 1 leaves splits at the largest power of
 * two below n (the shape of RFC 6962, section 2.1). Everything here is arithmetic on leaf numbers; nobody adds floats.
 */

/** A node of the tree over `leaves` leaves, or any contiguous range of leaves: [first, first + count). */
export interface LeafRange {
  readonly first: number
  readonly count: number
}

/** The largest power of two strictly below n. @param n at least 2. */
export function splitPoint(n: number): number {
  invariant(n >= 2, 'only a node of two leaves or more splits')
  let power = 1
  while (power * 2 < n) power *= 2
  return power
}

/** The two children of a node, left first. */
export function childrenOf(node: LeafRange): readonly [LeafRange, LeafRange] {
  const left = splitPoint(node.count)
  return [
    { first: node.first, count: left },
    { first: node.first + left, count: node.count - left },
  ]
}

/** Whether `range` is a node of the tree over `leaves` leaves. */
export function isNode(leaves: number, range: LeafRange): boolean {
  let node: LeafRange = { first: 0, count: leaves }
  while (node.count >= range.count && node.count > 0) {
    if (node.first === range.first && node.count === range.count) return true
    if (node.count === 1) return false
    const [left, right] = childrenOf(node)
    node = range.first >= right.first ? right : left
  }
  return false
}

/**
 * The maximal whole nodes inside a span, in leaf order: what a worker sends.
 * @param leaves M, the leaves of a step
 * @param apart leaves that are nodes of their own, whatever is around them
 */
export function maximalNodes(leaves: number, span: LeafRange, apart: readonly number[] = []): LeafRange[] {
  const end = span.first + span.count
  const found: LeafRange[] = []
  const visit = (node: LeafRange): void => {
    if (node.first >= end || node.first + node.count <= span.first) return
    const whole = node.first >= span.first && node.first + node.count <= end
    if (whole && (node.count === 1 || !apart.some((leaf) => leaf >= node.first && leaf < node.first + node.count))) {
      found.push(node)
      return
    }
    const [left, right] = childrenOf(node)
    visit(left)
    visit(right)
  }
  visit({ first: 0, count: leaves })
  return found
}

/** The parent of a node and which child it is, or undefined for the root. */
export function parentOf(leaves: number, range: LeafRange): { parent: LeafRange; side: 'left' | 'right'; sibling: LeafRange } | undefined {
  let node: LeafRange = { first: 0, count: leaves }
  while (node.count > range.count) {
    const [left, right] = childrenOf(node)
    if (left.first === range.first && left.count === range.count) return { parent: node, side: 'left', sibling: right }
    if (right.first === range.first && right.count === range.count) return { parent: node, side: 'right', sibling: left }
    node = range.first >= right.first ? right : left
  }
  return undefined
}
