import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { SpanJob } from '@lockstep/shared/protocol/jobs.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import { addStatistics, type NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import type { ComputeClient } from '../compute/compute-client.js'
import type { MicroBatch } from '../compute/compute-messages.js'
import type { SendOutcome, SummedNode } from '../exchange/node-sender.js'
import { positionOf, type BatchGeometry } from '../loader/span-batches.js'
import type { SlotPool } from './slot-pool.js'
import {
  accumulatorsOf,
  afterWithdrawal,
  nodeKey,
  summationPlan,
  type AddInstruction,
  type GradientInstruction,
  type Instruction,
  type SendInstruction,
} from './summation-plan.js'

/** What a span is computed with. */
export interface SpanTools {
  readonly batch: BatchGeometry
  /** M */
  readonly leaves: number
  readonly compute: ComputeClient
  readonly slots: SlotPool
  readonly take: (position: number) => Promise<MicroBatch>
  readonly send: (node: SummedNode) => Promise<SendOutcome>
  /** Whether who gets a node reads it where it lies. Left out: it does not. */
  readonly mayLend?: () => boolean
  /** Rounds an accumulator to what travels, in its place; left out where float32 does. */
  readonly narrow?: ((slot: number) => Promise<number>) | undefined
  /** Awaits, and tells what for. Left out: nobody wants to know. */
  readonly wait?: <Value>(name: string, what: () => Promise<Value>) => Promise<Value>
  /** Whether the span is this worker's, once that is known: nothing is sent before. Left out: it is. */
  readonly wanted?: Promise<boolean> | undefined
  /** Called when a leaf's gradient is computed. */
  readonly leafFinished: () => void
}

/** How a span went. */
export interface SpanOutcome {
  /** Leaves whose nodes were taken. */
  readonly leaves: number
  /** The step was over before the span was. */
  readonly stale: boolean
  readonly loadSeconds: number
  readonly computeSeconds: number
  readonly sendSeconds: number
}

/** Micro-batches at the compute thread: one computed, one ready, so that it never waits for the main thread. */
const MOST_UNDER_WAY = 2

/** One accumulator: where it is and what it holds once everything asked of the compute thread is done. */
interface Accumulator {
  readonly slot: number
  byteOffset: number
  file: SharedFile | undefined
  /** Complete in the order of the replies. */
  statistics: NodeStatistics | undefined
  /** The tree node it holds; undefined within a leaf. */
  node: LeafRange | undefined
}

/** Computes the leaves of one span and sends their maximal nodes. Weights are set before. */
export class SpanWork {
  private readonly accumulators = new Map<number, Accumulator>()
  private readonly done = new Set<number>()
  private readonly withdrawn = new Set<number>()
  /** What the compute thread was asked and has not answered, oldest first. */
  private underWay: readonly Promise<void>[] = []
  private readonly sending: Promise<void>[] = []
  /** Nodes that were given to the exchange. */
  private readonly sent: LeafRange[] = []
  private planChanged = false
  private abandoned = false
  private failure: Error | undefined
  private stale = false
  private sentLeaves = 0
  private nextAccumulator = 0
  private computeSeconds = 0
  private lastComputedMs = 0

  constructor(
    private readonly tools: SpanTools,
    private readonly job: SpanJob,
  ) {}

  /** Leaves that are no longer wanted: the work is shortened at the next border between leaves. */
  withdraw(range: LeafRange): void {
    for (let leaf = range.first; leaf < range.first + range.count; leaf++) this.withdrawn.add(leaf)
    this.planChanged = true
  }

  /** Whether a withdrawal left nothing to do. */
  get isEmpty(): boolean {
    return afterWithdrawal(this.job, this.done, this.withdrawn).length === 0
  }

  /** Ends the work after the micro-batch in hand; what is not sent is not sent. */
  abandon(): void {
    this.abandoned = true
  }

  /**
   * @param lastNode called when the last node starts to travel: the engine is not needed for this span any more
   * @throws TrainError what the engine, the data or the exchange threw
   */
  async run(lastNode: () => void): Promise<SpanOutcome> {
    const startMs = performance.now()
    let sendStartMs: number
    this.lastComputedMs = startMs
    try {
      while (await this.execute()) this.planChanged = false
      await this.wait('wait for computing', () => Promise.all(this.underWay))
      if (this.tools.wanted !== undefined) await this.wait('wait for a job', () => this.untilWanted())
      sendStartMs = performance.now()
      if (!this.isAbandoned) lastNode()
      await this.wait('wait for acknowledgements', () => Promise.all(this.sending))
    } finally {
      await Promise.allSettled([...this.underWay, ...this.sending])
      for (const accumulator of this.accumulators.values()) this.tools.slots.give(accumulator.slot)
      this.accumulators.clear()
    }
    if (this.failure !== undefined) throw this.failure
    const spanSeconds = (this.lastComputedMs - startMs) / 1000
    return {
      leaves: this.sentLeaves,
      stale: this.stale,
      computeSeconds: this.computeSeconds,
      loadSeconds: Math.max(0, spanSeconds - this.computeSeconds),
      sendSeconds: (performance.now() - sendStartMs) / 1000,
    }
  }

  /** Ends the work unless the span is wanted. */
  private async untilWanted(): Promise<void> {
    if ((await this.tools.wanted) === false) this.abandoned = true
  }

  private get isAbandoned(): boolean {
    return this.abandoned || this.stale || this.failure !== undefined
  }

  /** Follows the plan of what is left. @returns whether a withdrawal asks for a new plan */
  private async execute(): Promise<boolean> {
    const plan = this.planRest()
    const limit = accumulatorsOf(plan, this.accumulators.size) + 1
    for (const instruction of plan) {
      if (this.isAbandoned) return false
      if (this.planChanged && this.atLeafBorder) return true
      if (instruction.kind === 'gradient') await this.gradient(instruction, limit)
      else if (instruction.kind === 'add') this.add(instruction)
      else this.send(instruction)
    }
    return false
  }

  private planRest(): Instruction[] {
    const held = new Map<string, number>()
    for (const [number, { node }] of this.accumulators) if (node !== undefined) held.set(nodeKey(node), number)
    const ranges = afterWithdrawal(this.job, this.done, this.withdrawn)
    return summationPlan({
      leaves: this.tools.leaves,
      ranges,
      microBatches: this.tools.batch.leaf,
      held,
      firstAccumulator: this.nextAccumulator,
      ...(this.job.audited === undefined ? {} : { apart: this.job.audited }),
    }).filter((instruction) => !concerns(instruction, this.sent))
  }

  private get atLeafBorder(): boolean {
    return [...this.accumulators.values()].every(({ node }) => node !== undefined)
  }

  private async gradient(instruction: GradientInstruction, limit: number): Promise<void> {
    const { batch, compute } = this.tools
    const position = positionOf(batch, this.job.step, instruction.leaf, instruction.micro)
    const input = await this.wait('wait for input', () => this.tools.take(position))
    while (this.underWay.length >= MOST_UNDER_WAY) await this.wait('wait for computing', async () => this.underWay[0])
    const accumulator = await this.accumulator(instruction.accumulator, limit)
    if (this.isAbandoned) return
    accumulator.node = instruction.makes
    if (instruction.leafFinished) this.done.add(instruction.leaf)
    this.track(
      compute.gradient(input, accumulator.slot, instruction.mode).then((reply) => {
        this.computed(reply.seconds)
        accumulator.byteOffset = reply.byteOffset
        accumulator.file = reply.file
        const { statistics } = accumulator
        accumulator.statistics = statistics === undefined ? reply.statistics : addStatistics(statistics, reply.statistics)
        if (instruction.leafFinished) this.tools.leafFinished()
      }),
    )
  }

  private readonly computed = (seconds: number): void => {
    this.computeSeconds += seconds
    this.lastComputedMs = performance.now()
  }

  private add(instruction: AddInstruction): void {
    const into = this.accumulators.get(instruction.into)
    const from = this.accumulators.get(instruction.from)
    invariant(into !== undefined && from !== undefined, 'both addends of a node are there')
    into.node = instruction.makes
    this.accumulators.delete(instruction.from)
    this.track(
      this.tools.compute.add(into.slot, from.slot).then((seconds) => {
        this.computed(seconds)
        invariant(into.statistics !== undefined && from.statistics !== undefined, 'both addends have statistics')
        into.statistics = addStatistics(into.statistics, from.statistics)
      }),
    )
    // requests are done in their order: whoever gets the slot next comes after this addition
    this.tools.slots.give(from.slot)
  }

  private send(instruction: SendInstruction): void {
    const accumulator = this.accumulators.get(instruction.accumulator)
    invariant(accumulator !== undefined, 'a node is sent from an accumulator')
    this.accumulators.delete(instruction.accumulator)
    this.sent.push(instruction.node)
    // asked for in the order of the plan, so that the residual goes from node to node in one order
    const narrowed = this.tools.narrow?.(accumulator.slot)
    if (narrowed !== undefined) this.track(narrowed.then(this.computed))
    const computed = this.underWay
    const { slots } = this.tools
    const work = async (): Promise<void> => {
      let file: SharedFile | undefined
      try {
        await Promise.all(computed)
        await this.untilWanted()
        if (this.isAbandoned) return
        const { byteOffset, statistics } = accumulator
        invariant(statistics !== undefined, 'a node has statistics')
        if (slots.mayLend && this.tools.mayLend?.() === true) file = accumulator.file
        // before it travels: what is sent meanwhile must see it
        if (file !== undefined) slots.lend(accumulator.slot, this.job.step)
        const outcome = await this.tools.send({ step: this.job.step, node: instruction.node, byteOffset, statistics, file })
        if (outcome === 'stale') this.stale = true
        else this.sentLeaves += instruction.node.count
      } catch (error) {
        this.failure ??= error instanceof Error ? error : new Error(String(error))
      } finally {
        if (file === undefined) slots.give(accumulator.slot)
      }
    }
    this.sending.push(work())
  }

  private async accumulator(number: number, limit: number): Promise<Accumulator> {
    let accumulator = this.accumulators.get(number)
    if (accumulator === undefined) {
      accumulator = { slot: await this.tools.slots.take(limit), byteOffset: 0, file: undefined, statistics: undefined, node: undefined }
      this.accumulators.set(number, accumulator)
      this.nextAccumulator = Math.max(this.nextAccumulator, number + 1)
    }
    return accumulator
  }

  private async wait<Value>(name: string, what: () => Promise<Value>): Promise<Value> {
    return await (this.tools.wait === undefined ? what() : this.tools.wait(name, what))
  }

  private track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        this.failure ??= error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => {
        this.underWay = this.underWay.filter((other) => other !== tracked)
      })
    this.underWay = [...this.underWay, tracked]
  }
}

/** Whether an instruction belongs to a node that was sent already. */
function concerns(instruction: Instruction, sent: readonly LeafRange[]): boolean {
  const node =
    instruction.kind === 'gradient'
      ? { first: instruction.leaf, count: 1 }
      : instruction.kind === 'add'
        ? instruction.makes
        : instruction.node
  return sent.some((other) => node.first >= other.first && node.first + node.count <= other.first + other.count)
}
