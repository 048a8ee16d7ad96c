import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'

/** A gradient as the expression that made it: nothing is lost in it, as it would be in a number. */
export type GradientTree = LeafGradient | GradientSum

export interface LeafGradient {
  readonly leaf: number
  readonly step: number
  /** Of the membership that sent it. */
  readonly term: number
  /** Digest of the whole weights vector it was computed from. */
  readonly weights: number
  readonly hash: number
}

export interface GradientSum {
  readonly left: GradientTree
  readonly right: GradientTree
  readonly hash: number
}

/** Two numbers become one of 53 bits; the order matters. */
export function mix(a: number, b: number): number {
  let low = Math.imul((a >>> 0) ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul((b >>> 0) + 0x7f4a7c15, 0xc2b2ae35)
  let high = Math.imul(Math.floor(a / 2 ** 32) ^ low, 0x27d4eb2f) + Math.imul(Math.floor(b / 2 ** 32) + 0x165667b1, 0x9e3779b1)
  low = Math.imul(low ^ (low >>> 15) ^ high, 0x2c1b3c6d)
  high = Math.imul(high ^ (high >>> 13) ^ low, 0x297a2d39)
  low ^= low >>> 16
  high ^= high >>> 16
  return (high >>> 11) * 2 ** 32 + (low >>> 0)
}

const bits = new Uint32Array(2)
const float = new Float64Array(bits.buffer)

/** A number's bits as an integer that {@link mix} takes whole. */
export function bitsOf(value: number): number {
  float[0] = value
  return mix(bits[0] ?? 0, bits[1] ?? 0)
}

export function leafGradient(step: number, leaf: number, weights: number, term: number): LeafGradient {
  return { leaf, step, term, weights, hash: mix(mix(weights, step), leaf) }
}

export function sumOf(left: GradientTree, right: GradientTree): GradientSum {
  return { left, right, hash: mix(left.hash, right.hash) }
}

/** What the samples of a leaf gave; fractions, so that the order of additions shows. */
export function leafStatistics(step: number, leaf: number, weights: number): NodeStatistics {
  const hash = mix(mix(weights, step), mix(leaf, 77))
  const correctTop1 = hash % 5
  return { lossSum: (hash % 1_000_003) / 7_001, samples: 8, correctTop1, correctTop5: correctTop1 + ((hash >>> 3) % 4) }
}

/** What an evaluation batch gave. */
export function batchStatistics(version: number, batch: number, weights: number): NodeStatistics {
  const hash = mix(mix(weights, version), mix(batch, 99))
  const correctTop1 = hash % 9
  return { lossSum: (hash % 1_000_003) / 9_001, samples: 10, correctTop1, correctTop5: Math.min(10, correctTop1 + ((hash >>> 4) % 3)) }
}

/** A tree in words: (0 + 1) + 2. */
export function describeTree(tree: GradientTree | undefined): string {
  if (tree === undefined) return 'nothing'
  if ('leaf' in tree) return String(tree.leaf)
  const part = (side: GradientTree): string => ('leaf' in side ? describeTree(side) : `(${describeTree(side)})`)
  return `${part(tree.left)} + ${part(tree.right)}`
}
