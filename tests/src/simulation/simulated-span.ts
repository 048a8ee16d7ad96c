import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { SpanJob } from '@lockstep/shared/protocol/jobs.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import { afterWithdrawal, nodeKey, summationPlan, type Instruction } from '@lockstep/worker/span-loop/summation-plan.js'
import { leafGradient, leafStatistics, sumOf, type GradientTree } from './gradient-tree.js'
import { addedStatistics } from './undisturbed.js'

export interface SpanTools {
  readonly leaves: number
  /** Digest of the weights in the engine. */
  weights(): number
  readonly term: number
  /** Lets a leaf's computing take its time. */
  compute(done: () => void): void
  /** @param settled whether every chunk was taken, or the step was over; undefined: the exchange is closed */
  send(node: LeafRange, tree: GradientTree, statistics: NodeStatistics, settled: (taken: boolean | undefined) => void): void
  leafFinished(): void
}

interface Accumulator {
  tree: GradientTree
  statistics: NodeStatistics
  node: LeafRange
}

/** How a span went. */
export interface SpanOutcome {
  readonly leaves: number
  readonly stale: boolean
  readonly closed: boolean
}

/** The leaves of one span: what span-work.ts does, one leaf after the other, by the real plan of additions. */
export class SimulatedSpan {
  #stale = false
  readonly #accumulators = new Map<number, Accumulator>()
  readonly #done = new Set<number>()
  readonly #withdrawn = new Set<number>()
  readonly #sent: LeafRange[] = []
  #planChanged = false
  #abandoned = false
  #closed = false
  #sending = 0
  #sentLeaves = 0
  #next = 0
  #computed = false
  #finished: (outcome: SpanOutcome) => void = () => undefined

  constructor(
    private readonly tools: SpanTools,
    private readonly job: SpanJob,
  ) {}

  withdraw(range: LeafRange): void {
    for (let leaf = range.first; leaf < range.first + range.count; leaf++) this.#withdrawn.add(leaf)
    this.#planChanged = true
  }

  get isEmpty(): boolean {
    return afterWithdrawal(this.job, this.#done, this.#withdrawn).length === 0
  }

  abandon(): void {
    this.#abandoned = true
  }

  /** @param lastNode called when the last node starts to travel */
  run(lastNode: () => void, finished: (outcome: SpanOutcome) => void): void {
    this.#finished = (outcome) => {
      this.#finished = () => undefined
      finished(outcome)
    }
    this.#follow(this.#plan(), 0, () => {
      this.#computed = true
      if (!this.#isAbandoned) lastNode()
      this.#settle()
    })
  }

  get #isAbandoned(): boolean {
    return this.#abandoned || this.#stale || this.#closed
  }

  #plan(): Instruction[] {
    this.#planChanged = false
    const held = new Map<string, number>()
    for (const [number, { node }] of this.#accumulators) held.set(nodeKey(node), number)
    const ranges = afterWithdrawal(this.job, this.#done, this.#withdrawn)
    const plan = summationPlan({ leaves: this.tools.leaves, ranges, microBatches: 1, held, firstAccumulator: this.#next })
    return plan.filter((instruction) => !this.#sent.some((other) => isInside(nodeOf(instruction), other)))
  }

  #follow(plan: readonly Instruction[], at: number, end: () => void): void {
    for (let index = at; index < plan.length; index++) {
      if (this.#isAbandoned) break
      if (this.#planChanged) return this.#follow(this.#plan(), 0, end)
      const instruction = plan[index]
      if (instruction === undefined) break
      if (instruction.kind === 'gradient') {
        this.#done.add(instruction.leaf)
        this.tools.compute(() => {
          this.#takeLeaf(instruction)
          this.#follow(plan, index + 1, end)
        })
        return
      }
      if (instruction.kind === 'add') this.#add(instruction)
      else this.#send(instruction)
    }
    end()
  }

  #takeLeaf({ leaf, accumulator: number, mode, makes }: Instruction & { kind: 'gradient' }): void {
    const { term } = this.tools
    const weights = this.tools.weights()
    const { step } = this.job
    this.#next = Math.max(this.#next, number + 1)
    const gradient = leafGradient(step, leaf, weights, term)
    const statistics = leafStatistics(step, leaf, weights)
    const before = this.#accumulators.get(number)
    const node = makes ?? { first: leaf, count: 1 }
    if (mode === 'copy' || before === undefined) this.#accumulators.set(number, { tree: gradient, statistics, node })
    else
      this.#accumulators.set(number, {
        tree: sumOf(before.tree, gradient),
        statistics: addedStatistics(before.statistics, statistics),
        node,
      })
    this.tools.leafFinished()
  }

  #add({ into, from, makes }: Instruction & { kind: 'add' }): void {
    const [left, right] = [this.#accumulators.get(into), this.#accumulators.get(from)]
    if (left === undefined || right === undefined) throw new Error('both addends of a node are there')
    this.#accumulators.delete(from)
    this.#accumulators.set(into, {
      tree: sumOf(left.tree, right.tree),
      statistics: addedStatistics(left.statistics, right.statistics),
      node: makes,
    })
  }

  #send({ accumulator, node }: Instruction & { kind: 'send' }): void {
    const held = this.#accumulators.get(accumulator)
    if (held === undefined) throw new Error('a node is sent from an accumulator')
    this.#accumulators.delete(accumulator)
    this.#sent.push(node)
    this.#sending++
    this.tools.send(node, held.tree, held.statistics, (taken) => {
      if (taken === undefined) this.#closed = true
      else if (taken) this.#sentLeaves += node.count
      else this.#stale = true
      this.#sending--
      this.#settle()
    })
  }

  #settle(): void {
    if (this.#computed && this.#sending === 0) this.#finished({ leaves: this.#sentLeaves, stale: this.#stale, closed: this.#closed })
  }
}

function nodeOf(instruction: Instruction): LeafRange {
  if (instruction.kind === 'gradient') return { first: instruction.leaf, count: 1 }
  return instruction.kind === 'add' ? instruction.makes : instruction.node
}

function isInside(inner: LeafRange, outer: LeafRange): boolean {
  return inner.first >= outer.first && inner.first + inner.count <= outer.first + outer.count
}
