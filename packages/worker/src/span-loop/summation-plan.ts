import { childrenOf, maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'

/**
 * Which gradients a worker computes for a span and in which order it adds them: arithmetic on leaf numbers, nothing is
 * computed here. The additions are those of the reduction tree, so the bits of a node do not depend on the span it was
 * computed in.
 */

/** Takes one micro-batch's gradient into an accumulator. `copy` writes it (nothing starts from zero), `add` adds it on the right. */
export interface GradientInstruction {
  readonly kind: 'gradient'
  readonly leaf: number
  /** Which micro-batch of the leaf. */
  readonly micro: number
  readonly accumulator: number
  readonly mode: 'copy' | 'add'
  /** The leaf is finished with this micro-batch. */
  readonly leafFinished: boolean
  /** The tree node the accumulator holds afterwards; undefined within a leaf. */
  readonly makes: LeafRange | undefined
}

/** accumulator `into` becomes into + from; `from` is free afterwards. */
export interface AddInstruction {
  readonly kind: 'add'
  readonly into: number
  readonly from: number
  readonly makes: LeafRange
}

/** The accumulator holds a maximal node of the span: it is sent, and free once that is acknowledged. */
export interface SendInstruction {
  readonly kind: 'send'
  readonly accumulator: number
  readonly node: LeafRange
}

export type Instruction = GradientInstruction | AddInstruction | SendInstruction

export interface PlanOptions {
  /** M, the leaves of a step. */
  readonly leaves: number
  /** Disjoint ranges of leaves to compute, in order. */
  readonly ranges: readonly LeafRange[]
  /** k, the micro-batches of a leaf. */
  readonly microBatches: number
  /** Nodes that are already summed in an accumulator, by {@link nodeKey}: after a withdrawal the plan is made anew around them. */
  readonly held?: ReadonlyMap<string, number>
  /** Leaves that are sent as nodes of their own; the averager does the additions above them. */
  readonly apart?: readonly number[]
  /** The first number for new accumulators. */
  readonly firstAccumulator?: number
}

/** A node as a key of a map. */
export function nodeKey(node: LeafRange): string {
  return `${String(node.first)}+${String(node.count)}`
}

/** The instructions that compute, sum and send the maximal nodes of some ranges of leaves, leaves in ascending order. */
export function summationPlan(options: PlanOptions): Instruction[] {
  const { leaves, microBatches } = options
  const held = options.held ?? new Map<string, number>()
  const plan: Instruction[] = []
  let next = options.firstAccumulator ?? 0

  const leafInto = (node: LeafRange, accumulator: number, first: 'copy' | 'add', made: LeafRange): void => {
    for (let micro = 0; micro < microBatches; micro++) {
      const leafFinished = micro === microBatches - 1
      const mode = micro === 0 ? first : 'add'
      plan.push({ kind: 'gradient', leaf: node.first, micro, accumulator, mode, leafFinished, makes: leafFinished ? made : undefined })
    }
  }

  const sum = (node: LeafRange): number => {
    const known = held.get(nodeKey(node))
    if (known !== undefined) return known
    if (node.count === 1) {
      const accumulator = next++
      leafInto(node, accumulator, 'copy', node)
      return accumulator
    }
    const [left, right] = childrenOf(node)
    const into = sum(left)
    if (right.count === 1 && microBatches === 1 && !held.has(nodeKey(right))) {
      // a right leaf of one micro-batch is added as it comes out of the engine: no accumulator of its own
      leafInto(right, into, 'add', node)
      return into
    }
    const from = sum(right)
    plan.push({ kind: 'add', into, from, makes: node })
    return into
  }

  for (const range of options.ranges) {
    for (const node of maximalNodes(leaves, range, options.apart)) plan.push({ kind: 'send', accumulator: sum(node), node })
  }
  return plan
}

/** The most accumulators that are in use at once, a sent one not counted. */
export function accumulatorsOf(plan: readonly Instruction[], alreadyLive = 0): number {
  let live = alreadyLive
  let most = live
  const seen = new Set<number>()
  for (const instruction of plan) {
    if (instruction.kind === 'gradient' && instruction.mode === 'copy' && !seen.has(instruction.accumulator)) {
      seen.add(instruction.accumulator)
      live++
    } else if (instruction.kind !== 'gradient') live--
    most = Math.max(most, live)
  }
  return most
}

/**
 * What is left of a span after a withdrawal: the leaves not withdrawn, and those that are finished already, since sending
 * them costs little and may help.
 * @param done leaves finished
 */
export function afterWithdrawal(span: LeafRange, done: ReadonlySet<number>, withdrawn: ReadonlySet<number>): LeafRange[] {
  const ranges: { first: number; count: number }[] = []
  for (let leaf = span.first; leaf < span.first + span.count; leaf++) {
    if (withdrawn.has(leaf) && !done.has(leaf)) continue
    const last = ranges.at(-1)
    if (last?.first !== undefined && last.first + last.count === leaf) last.count++
    else ranges.push({ first: leaf, count: 1 })
  }
  return ranges
}
