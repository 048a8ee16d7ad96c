import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { EvaluationJob, Job, SpanJob } from '@lockstep/shared/protocol/jobs.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { Connection } from './connection.js'
import { batchStatistics, type GradientTree } from './gradient-tree.js'
import type { SimulatedCoordinator } from './simulated-coordinator.js'
import { SimulatedLink } from './simulated-link.js'
import type { Consumer } from './simulated-queue.js'
import { SimulatedSpan } from './simulated-span.js'
import { SimulatedWeights } from './simulated-weights.js'
import { SymbolicBody } from './symbolic-arena.js'
import { digestOf } from './undisturbed.js'
import type { Place } from './virtual-time.js'
import { RUN, type World } from './world-parts.js'

const HEARTBEAT_MS = 500
const CHUNK_BYTES = 1024 * 1024

/** The part of a worker process that a session uses. */
export interface Computer {
  readonly place: Place
  /** Does a leaf's work, or a share of it. @returns by `done` when it is through */
  compute(share: number, done: (seconds: number) => void): void
}

interface InHand {
  readonly version: number
  readonly work: SimulatedSpan | undefined
  aborted: boolean
  /** Ends the wait for weights, if it waits. */
  interrupt: () => void
}

/** One membership at work: what session.ts and span-loop.ts do. */
export class SimulatedSession {
  readonly links: SimulatedLink[]
  readonly weights: SimulatedWeights
  readonly consumer: Consumer
  readonly #counters = { step: 0, leavesFinished: 0, evaluationBatchesFinished: 0 }
  #turns: { job: Job; done: () => void }[] = []
  #busy = false
  #inHand: InHand | undefined
  #committed = 0
  /** Provisional versions that were dropped, as far as we heard. */
  #drops = 0
  #engineVersion: number | undefined
  #engineDigest = 0
  #stopped = false
  /** Wakes the job in hand when a version is final. */
  #onFinal: () => void = () => undefined
  #idle: () => void = () => undefined

  /** @param failed what a worker process ends for */
  constructor(
    private readonly world: World,
    private readonly coordinator: SimulatedCoordinator,
    private readonly computer: Computer,
    private readonly connection: Connection,
    private readonly member: { readonly worker: string; readonly term: number; readonly version: number },
    private readonly failed: () => void,
  ) {
    const { place } = computer
    const { worker, term, version } = member
    this.weights = new SimulatedWeights(world, coordinator, term, place, worker, world.chance(`${worker} weights`))
    this.links = coordinator.averager.slices.map(
      ({ index }) => new SimulatedLink(world, coordinator, index, place, `${worker} link ${String(index)}`, failed),
    )
    this.#committed = version
    this.weights.want(version)
    this.#beat()
    this.consumer = coordinator.queue.consume(worker, place, (job, done) => this.run(job, done))
  }

  #beat(): void {
    this.world.time.after(HEARTBEAT_MS, this.computer.place, () => {
      if (this.#stopped) return
      const bytesAcknowledged = this.links.reduce((sum, link) => sum + link.bytesAcknowledged, 0)
      const beat = {
        ...this.#counters,
        bytesAcknowledged,
        bytesReceived: this.weights.bytesReceived,
        residentBytes: 0,
        tensors: 0,
        sentUs: 0,
      }
      this.connection.say({ type: 'heartbeat', beat })
      this.#beat()
    })
  }

  /** A job from the queue; they are done one after the other. */
  run(job: Job, done: () => void): void {
    this.#turns.push({ job, done })
    this.#nextTurn()
  }

  notice(message: CoordinatorMessage__Output): void {
    if (message.committed) this.#onCommitted(message.committed.version)
    if (message.dropped) this.#onDropped(message.dropped.version, message.dropped.drops)
    if (message.withdraw) {
      const { step, firstLeaf, leafCount } = message.withdraw
      this.#onWithdraw(step, { first: firstLeaf, count: leafCount })
    }
  }

  #onCommitted(version: number): void {
    this.#committed = Math.max(this.#committed, version)
    this.#onFinal()
    if (this.#inHand !== undefined && this.#inHand.version < this.#committed) this.#abandon(this.#inHand)
  }

  #onDropped(version: number, drops: number): void {
    if (drops <= this.#drops) return
    this.#drops = drops
    this.weights.forget(version)
    if (this.#engineVersion === version) this.#engineVersion = undefined
    if (this.#inHand?.version === version) this.#abandon(this.#inHand)
  }

  #onWithdraw(step: number, leaves: LeafRange): void {
    const inHand = this.#inHand
    if (inHand?.work === undefined || inHand.version !== step) return
    inHand.work.withdraw(leaves)
    if (inHand.work.isEmpty) this.#abandon(inHand)
  }

  #abandon(inHand: InHand): void {
    if (inHand.aborted) return
    inHand.aborted = true
    inHand.work?.abandon()
    inHand.interrupt()
    for (const link of this.links) link.dropWaiting()
  }

  /** Ends the session; a new one begins when the computing thread is free. */
  stop(idle: () => void): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#idle = () => {
      this.#idle = () => undefined
      idle()
    }
    if (this.#inHand !== undefined) this.#abandon(this.#inHand)
    this.weights.close()
    for (const link of this.links) link.close()
    this.consumer.open = false
    if (!this.#busy) this.#idle()
  }

  #nextTurn(): void {
    if (this.#busy) return
    const turn = this.#turns.shift()
    if (turn === undefined) return
    this.#busy = true
    this.#runOne(turn.job, () => {
      this.#inHand = undefined
      this.#busy = false
      turn.done()
      if (this.#stopped) {
        this.#turns = []
        this.#idle()
      } else this.#nextTurn()
    })
  }

  #runOne(job: Job, done: () => void): void {
    const version = job.kind === 'span' ? job.step : job.version
    const stale = job.term !== this.member.term || (version < this.#committed && version !== this.#engineVersion)
    if (this.#stopped || stale) return done()
    this.#forgetDropped(job)
    if (job.kind === 'evaluation') this.#evaluate(job, done)
    else if (job.step < this.#committed) done()
    else this.#runSpan(job, done)
  }

  /** A job can come before the message that a version was dropped, and the weights in hand may be that version. */
  #forgetDropped({ drops = 0 }: Job): void {
    if (drops <= this.#drops) return
    this.#drops = drops
    this.weights.close()
  }

  #runSpan(job: SpanJob, done: () => void): void {
    let seconds = 0
    const tools = {
      leaves: this.world.scenario.plan.leaves,
      weights: (): number => this.#engineDigest,
      term: this.member.term,
      compute: (computed: () => void): void =>
        this.computer.compute(1, (took) => {
          seconds += took
          computed()
        }),
      send: (node: LeafRange, tree: GradientTree, statistics: NodeStatistics, settled: (taken: boolean | undefined) => void): void =>
        this.#send(job.step, node, tree, statistics, settled),
      leafFinished: (): void => {
        this.#counters.leavesFinished++
      },
    }
    const work = new SimulatedSpan(tools, job)
    const inHand: InHand = { version: job.step, work, aborted: false, interrupt: () => undefined }
    this.#inHand = inHand
    this.#counters.step = job.step
    this.#setWeights(job.step, inHand, done, () => {
      work.run(
        () => this.weights.want(job.step + 1),
        ({ leaves, stale, closed }) => {
          const over = closed || stale || (inHand.aborted && leaves === 0)
          if (!over) this.connection.say({ type: 'spanFinished', step: job.step, leaves, seconds })
          done()
        },
      )
    })
  }

  #evaluate({ version, first, count }: EvaluationJob, done: () => void): void {
    const inHand: InHand = { version, work: undefined, aborted: false, interrupt: () => undefined }
    this.#inHand = inHand
    const { term } = this.member
    this.#setWeights(version, inHand, done, () => {
      const next = (batch: number): void => {
        if (batch === first + count || inHand.aborted) return done()
        this.computer.compute(0.5, () => {
          this.#counters.evaluationBatchesFinished++
          this.connection.say({ type: 'evaluationResult', term, version, batch, ...batchStatistics(version, batch, this.#engineDigest) })
          this.world.oldAnswers.push({ type: 'evaluation', term, version, batch })
          next(batch + 1)
        })
      }
      next(first)
    })
  }

  /** Puts a version into the engine, or gives the job up. */
  #setWeights(version: number, inHand: InHand, givenUp: () => void, ready: () => void): void {
    if (this.#engineVersion === version) return ready()
    this.#engineVersion = undefined
    let waiting = true
    inHand.interrupt = () => {
      this.#onFinal = () => undefined
      if (waiting) givenUp()
      waiting = false
    }
    if (inHand.aborted) return inHand.interrupt()
    const receive = (): void =>
      this.weights.receive(version, (received) => {
        if (!waiting) return
        waiting = false
        if (received !== 'whole') {
          if (received === 'unreachable') this.failed()
          return givenUp()
        }
        this.computer.compute(0.05, () => {
          this.#engineDigest = digestOf(this.weights.vector)
          if (!inHand.aborted) this.#engineVersion = version
          ready()
        })
      })
    this.#whenFinal(version, receive)
  }

  /** What was received of a version before it was final may have been dropped since. */
  #whenFinal(version: number, act: () => void): void {
    if (this.#committed >= version) return act()
    this.#onFinal = () => {
      if (this.#committed < version) return
      this.#onFinal = () => undefined
      act()
    }
  }

  #send(
    step: number,
    node: LeafRange,
    tree: GradientTree,
    statistics: NodeStatistics,
    settled: (taken: boolean | undefined) => void,
  ): void {
    const { slices } = this.coordinator.averager
    const { term } = this.member
    let missing = this.world.scenario.slices.reduce((sum, chunks) => sum + chunks, 0)
    let taken: boolean | undefined = true
    const one = (outcome: boolean | undefined): void => {
      if (outcome === false && taken === true) {
        taken = false
        for (const link of this.links) link.dropWaiting()
      }
      if (outcome === undefined) taken = undefined
      if (--missing === 0) settled(taken)
    }
    for (const { index, firstChunk, state } of slices) {
      for (let chunk = 0; chunk < state.chunks; chunk++) {
        const key = { step, firstLeaf: node.first, leafCount: node.count, chunk }
        const body = new SymbolicBody(CHUNK_BYTES, firstChunk + chunk, tree) as unknown as Buffer
        const contribution = {
          run: RUN,
          term,
          ...key,
          body,
          statistics: index === 0 && chunk === 0 ? { nonFiniteLayer: 0, ...statistics } : null,
          shared: null,
        }
        this.links[index]?.send({
          ...key,
          bytes: CHUNK_BYTES,
          contribution,
          settle: (outcome) => one(outcome === 'ACCEPTED' || outcome === 'DUPLICATE'),
          fail: () => one(undefined),
        })
      }
    }
  }
}
