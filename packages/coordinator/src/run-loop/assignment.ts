import { invariant } from '@lockstep/shared/errors/train-error.js'
import { maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'

/**
 * Which worker computes which leaves: contiguous spans, in a fixed order of workers, so that the last one to finish
 * finishes as early as possible, and among those plans the one that sends the fewest partial gradients.
 */

export interface Capacity {
  readonly worker: string
  /** Seconds this worker needs for a leaf, measured. */
  readonly leafSeconds: number
  /** Leaves it still has in hand, to be computed first. */
  readonly backlog: number
}

export interface Span extends LeafRange {
  readonly worker: string
}

/** Plans within this share of the best finishing time count as equally fast: then fewer nodes win. */
const TOLERANCE = 1.05
/** What an idle worker costs, in nodes: one that computes nothing is not measured either, and its speed is needed. */
const IDLE_NODES = 2
/** A plan is kept while a new one would end less than this share earlier: steady spans keep input hints right. */
const HYSTERESIS = 0.9

/**
 * Splits a range of leaves over workers. Workers may get nothing.
 * @param leaves M, of the whole tree
 * @param range the leaves to hand out
 * @returns spans in leaf order, disjoint, covering `range`
 */
export function splitLeaves(leaves: number, range: LeafRange, capacities: readonly Capacity[]): Span[] {
  invariant(capacities.length > 0, 'leaves are split among at least one worker')
  const deadline = earliestFinish(range.count, capacities) * TOLERANCE
  return fewestNodes(leaves, range, capacities, deadline)
}

/** When the last worker of a plan is done, seconds from now. */
export function finishSeconds(spans: readonly Span[], capacities: readonly Capacity[]): number {
  return Math.max(
    ...capacities.map((capacity) => {
      const count = spans.filter((span) => span.worker === capacity.worker).reduce((sum, span) => sum + span.count, 0)
      return count === 0 ? 0 : (capacity.backlog + count) * capacity.leafSeconds
    }),
  )
}

/**
 * The plan of a whole step: the previous one again while it is still good, else a new one.
 * @param previous spans of the step before, or none
 */
export function planStep(leaves: number, capacities: readonly Capacity[], previous: readonly Span[]): Span[] {
  const busy = new Set(previous.map((span) => span.worker))
  const sameWorkers =
    busy.size === Math.min(leaves, capacities.length) && capacities.filter(({ worker }) => busy.has(worker)).length === busy.size
  const whole = previous.reduce((sum, span) => sum + span.count, 0) === leaves
  if (sameWorkers && whole && finishSeconds(previous, capacities) * HYSTERESIS < earliestFinish(leaves, capacities)) return [...previous]
  return splitLeaves(leaves, { first: 0, count: leaves }, capacities)
}

function leavesBefore(capacity: Capacity, deadline: number): number {
  return Math.max(0, Math.floor(deadline / capacity.leafSeconds + 1e-9) - capacity.backlog)
}

/** The smallest time in which `count` leaves can be done: one of the moments at which some worker ends a leaf. */
function earliestFinish(count: number, capacities: readonly Capacity[]): number {
  let low = 0
  let high = Math.min(...capacities.map((capacity) => (capacity.backlog + count) * capacity.leafSeconds))
  const fits = (deadline: number): boolean => capacities.reduce((sum, capacity) => sum + leavesBefore(capacity, deadline), 0) >= count
  for (let round = 0; round < 60 && high - low > high * 1e-6; round++) {
    const middle = (low + high) / 2
    if (fits(middle)) high = middle
    else low = middle
  }
  return high
}

/** Dynamic programme over workers and cut points: the plan with the fewest nodes among those that keep the deadline. */
function fewestNodes(leaves: number, range: LeafRange, capacities: readonly Capacity[], deadline: number): Span[] {
  const { count } = range
  const costs = new Map<number, number>()
  const nodes = (from: number, length: number): number => {
    const key = from * (count + 1) + length
    const known = costs.get(key)
    if (known !== undefined) return known
    const cost = length === 0 ? IDLE_NODES : maximalNodes(leaves, { first: range.first + from, count: length }).length
    costs.set(key, cost)
    return cost
  }
  // best[i] = fewest nodes with which the workers so far cover the first i leaves
  let best = new Array<number>(count + 1).fill(Infinity)
  best[0] = 0
  const choices: number[][] = []
  for (const capacity of capacities) {
    const limit = leavesBefore(capacity, deadline)
    const next = new Array<number>(count + 1).fill(Infinity)
    const choice = new Array<number>(count + 1).fill(0)
    for (let end = 0; end <= count; end++) {
      for (let length = 0; length <= Math.min(limit, end); length++) {
        const total = (best[end - length] ?? Infinity) + nodes(end - length, length)
        if (total < (next[end] ?? Infinity)) {
          next[end] = total
          choice[end] = length
        }
      }
    }
    best = next
    choices.push(choice)
  }
  invariant(Number.isFinite(best[count]), 'a plan within the earliest finish exists')
  const spans: Span[] = []
  let end = count
  for (let index = capacities.length - 1; index >= 0; index--) {
    const length = choices[index]?.[end] ?? 0
    const worker = capacities[index]?.worker
    if (length > 0 && worker !== undefined) spans.unshift({ worker, first: range.first + end - length, count: length })
    end -= length
  }
  return spans
}
