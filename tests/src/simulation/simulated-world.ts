import type { Mutation } from './mutation.js'
import { Chance } from './chance.js'
import type { Delays } from './channel.js'
import { describeFault, LASTING_KIND, QUEUE_AWAY_MS, type Fault, type Scenario } from './scenario.js'
import { SimulatedCoordinator } from './simulated-coordinator.js'
import { SimulatedQueue } from './simulated-queue.js'
import { SimulatedWorker } from './simulated-worker.js'
import { Violation } from './violation.js'
import { VirtualTime } from './virtual-time.js'
import { Watch } from './watch.js'
import type { OldAnswer, SavedState, World } from './world-parts.js'

/** No history takes longer: beyond it something goes round in circles. */
const ENDLESS_MS = 600_000
/** Beside what the work in hand takes: the longest deadline, a join, and room. */
const STALL_MS = 20_000
/** After an end of its own a worker process is back this soon. */
const RESTART_MS = 500
/** Answers of the term before are let in for so long after a resume. */
const OLD_ANSWERS_MS = 3_000

/** A world in which a scenario happens. */
export class SimulatedWorld implements World {
  readonly time = new VirtualTime()
  readonly watch: Watch
  readonly networkDelays: Delays
  readonly threadDelays: { -readonly [Key in keyof Delays]: Delays[Key] }
  readonly saved: SavedState[] = []
  readonly oldAnswers: OldAnswer[] = []
  readonly notes: string[] | undefined
  readonly counts = new Map<string, number>()
  checkpointMs: number
  events = 0
  readonly #queue: SimulatedQueue
  readonly #workers: SimulatedWorker[] = []
  /** How often each was started. */
  readonly #starts: number[] = []
  /** How long a worker that leaves stays away. */
  readonly #awayMs: (number | undefined)[] = []
  readonly #chance: Chance
  #coordinator: SimulatedCoordinator | undefined
  #term = 0
  #finished = false
  /** Until then somebody disturbs the run, and it may stand still. */
  #disturbedUntilMs = 0
  /** A run does something again within this time once nothing disturbs it. */
  readonly #stallMs: number
  /** A run is over by then. */
  readonly #endlessMs: number
  /** Between a stop and the resume. */
  #pauseMs = 0

  /** @param noted whether to write down what happens */
  constructor(
    readonly scenario: Scenario,
    readonly mutation: Mutation | undefined,
    noted: boolean,
  ) {
    this.watch = new Watch(scenario)
    this.networkDelays = scenario.network
    this.threadDelays = { ...scenario.threads }
    this.checkpointMs = scenario.checkpointMs
    this.notes = noted ? [] : undefined
    this.#chance = this.chance('world')
    const lasting = scenario.faults.find(({ kind }) => kind === LASTING_KIND)?.factor ?? 1
    const slowestMs = lasting * Math.max(...scenario.workers.map(({ leafMs }) => leafMs))
    this.#endlessMs = lasting * ENDLESS_MS
    // what disturbs the probe of a worker counts four times in its deadline; a lasting slowness is in slowestMs
    const probeMs = scenario.faults.map(({ kind, forMs, factor }) => {
      if (kind === 'slow') return slowestMs * factor
      if (kind === LASTING_KIND) return slowestMs
      return kind === 'hang' || kind === 'freeze' ? forMs : 0
    })
    this.#stallMs = STALL_MS + 3 * slowestMs * Math.max(scenario.plan.leaves, scenario.plan.evaluationBatches) + 4 * Math.max(0, ...probeMs)
    this.#queue = new SimulatedQueue(this)
    this.#serve()
    for (const [index, { joinsAtMs }] of scenario.workers.entries()) {
      this.#disturbedUntilMs = Math.max(this.#disturbedUntilMs, joinsAtMs)
      this.time.at(joinsAtMs, undefined, () => this.#startWorker(index))
    }
    for (const fault of scenario.faults) {
      this.time.at(fault.atMs, undefined, () => {
        this.note(() => describeFault(fault))
        this.count(`fault ${fault.kind}`)
        this.#disturb(fault)
      })
    }
  }

  chance(stream: string): Chance {
    return new Chance(this.scenario.seed, stream)
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  note(line: () => string): void {
    this.notes?.push(`${(this.time.nowMs / 1000).toFixed(3).padStart(8)} s  ${line()}`)
  }

  /** Lets everything happen. @throws Violation, InvariantError */
  run(): void {
    while (!this.#finished && this.time.step()) {
      this.events++
      const { nowMs } = this.time
      if (nowMs > this.#endlessMs) throw new Violation('progress', `the run is not over after ${String(this.#endlessMs / 1000)} s`)
      if (nowMs - Math.max(this.watch.progressMs, this.#disturbedUntilMs) > this.#stallMs) {
        throw new Violation(
          'progress',
          `nothing was achieved for ${String(Math.round(this.#stallMs / 1000))} s, undisturbed: ${this.#standing()}`,
        )
      }
    }
    if (!this.#finished) throw new Violation('progress', `nothing more happens: ${this.#standing()}`)
  }

  #standing(): string {
    const { state, term } = this.#coordinator ?? {}
    if (state === undefined) return 'there is no coordinator'
    return `term ${String(term)} is ${state.phase} at version ${String(state.version)}, workers ${JSON.stringify(Object.values(state.workers))}`
  }

  #startWorker(index: number): void {
    const plan = this.scenario.workers[index]
    const before = this.#workers[index]
    if (plan === undefined) return
    if (before?.place.alive === true) return
    const again = (): void => {
      const afterMs = this.#awayMs[index] ?? RESTART_MS
      this.#awayMs[index] = undefined
      // somebody starts it again while the run is not over
      if (plan.impostor === undefined) this.time.after(afterMs, undefined, () => this.#startWorker(index))
    }
    const starts = this.#starts[index] ?? 0
    this.#starts[index] = starts + 1
    this.#workers[index] = new SimulatedWorker(this, index, starts, plan, () => this.#coordinator, again)
  }

  #serve(): void {
    this.#term += 1
    const newest = this.saved.at(-1) ?? null
    this.note(() => `term ${String(this.#term)} begins from ${newest === null ? 'nothing' : `version ${String(newest.version)}`}`)
    const coordinator = new SimulatedCoordinator(this, this.#queue, this.#term, newest, (reason) => {
      coordinator.place.alive = false
      if (reason === 'stopped') this.#resume(this.#pauseMs)
      else this.#finished = true
    })
    this.#coordinator = coordinator
  }

  #resume(afterMs: number): void {
    this.#hold(afterMs)
    this.time.after(afterMs, undefined, () => {
      if (this.#coordinator?.place.alive === true) return
      this.#serve()
      this.#lateAnswers(OLD_ANSWERS_MS, 12)
      for (const index of this.scenario.workers.keys()) this.#startWorker(index)
    })
  }

  /** Excuses standing still for a while. */
  #hold(forMs: number): void {
    this.#disturbedUntilMs = Math.max(this.#disturbedUntilMs, this.time.nowMs + forMs)
  }

  /** Answers of earlier steps and terms arrive now and then. */
  #lateAnswers(forMs: number, count: number): void {
    for (let index = 0; index < count; index++) {
      this.time.after(this.#chance.between(0, forMs), undefined, () => {
        const coordinator = this.#coordinator
        if (coordinator?.place.alive !== true || coordinator.place.asleepUntilMs > this.time.nowMs || this.oldAnswers.length === 0) return
        const answer = this.#chance.pick(this.oldAnswers)
        if (answer.type === 'evaluation') coordinator.oldEvaluationResult(answer.term, answer.version, answer.batch)
        else this.#lateContribution(coordinator, answer)
      })
    }
  }

  #lateContribution(coordinator: SimulatedCoordinator, { slice, contribution }: OldAnswer & { type: 'contribution' }): void {
    const term = this.mutation === 'acceptOldTerm' ? coordinator.term : contribution.term
    const outcome = coordinator.averager.slices[slice]?.contribute({ ...contribution, term })
    this.note(
      () => `  slice ${String(slice)}: once more term ${String(contribution.term)} step ${String(contribution.step)}: ${String(outcome)}`,
    )
    if (outcome === 'ACCEPTED' && contribution.term !== coordinator.term) {
      throw new Violation('term', `a contribution of term ${String(contribution.term)} is taken in term ${String(coordinator.term)}`)
    }
  }

  #disturb(fault: Fault): void {
    // what never ends has to be lived with
    this.#hold(fault.kind === LASTING_KIND ? 0 : fault.forMs)
    const coordinator = this.#coordinator?.place.alive === true ? this.#coordinator : undefined
    const worker = this.#workers[fault.worker]
    const { nowMs } = this.time
    const untilMs = nowMs + fault.forMs
    switch (fault.kind) {
      case 'flushQueue':
        return this.#queue.flush()
      case 'killQueue':
        return this.#queue.kill(Math.min(fault.forMs, QUEUE_AWAY_MS), coordinator?.place)
      case 'crash':
        return this.#crash(fault.forMs)
      case 'pause':
        if (coordinator !== undefined) coordinator.place.asleepUntilMs = Math.max(coordinator.place.asleepUntilMs, untilMs)
        return
      case 'stop':
        this.#pauseMs = fault.forMs
        if (coordinator !== undefined) this.time.after(0, coordinator.place, () => coordinator.stop())
        return
      case 'slowCheckpoint':
        return this.#during(
          fault,
          () => (this.checkpointMs = 2_000 * fault.factor),
          () => (this.checkpointMs = this.scenario.checkpointMs),
        )
      case 'slowThreads':
        return this.#during(
          fault,
          () => (this.threadDelays.mostMs = 60),
          () => (this.threadDelays.mostMs = this.scenario.threads.mostMs),
        )
      case 'oldTerm':
        return this.#lateAnswers(fault.forMs, 8)
    }
    if (worker?.place.alive === true) this.#disturbWorker(fault, worker, untilMs)
  }

  #during({ forMs }: Fault, begin: () => void, end: () => void): void {
    begin()
    this.#hold(forMs + 20_000)
    this.time.after(forMs, undefined, end)
  }

  #disturbWorker({ kind, forMs, worker: index, slice, factor }: Fault, worker: SimulatedWorker, untilMs: number): void {
    const link = worker.session?.links[slice]
    switch (kind) {
      case 'kill':
        worker.die(this.#chance.happens(0.7))
        return this.time.after(forMs, undefined, () => this.#startWorker(index))
      case 'leave':
        this.#awayMs[index] = forMs
        return this.time.after(0, worker.place, () => worker.leave())
      case 'freeze':
        worker.place.asleepUntilMs = Math.max(worker.place.asleepUntilMs, untilMs)
        return
      case 'hang':
        worker.hungUntilMs = untilMs
        return
      case 'slow':
      case LASTING_KIND:
        worker.slowUntilMs = untilMs
        worker.slowFactor = factor
        return
      case 'cutMembership':
        return worker.connection?.break(true)
      case 'stallMembership':
        worker.connection?.up.stall(untilMs)
        worker.connection?.down.stall(untilMs)
        return
      case 'cutContributions':
        return link?.break()
      case 'stallContributions':
        return link?.stall(untilMs)
      case 'cutWeights':
        return worker.session?.weights.break()
      case 'duplicate':
        for (const each of worker.session?.links ?? []) each.twiceUntilMs = untilMs
        return
      case 'lateJobs':
        if (worker.session) worker.session.consumer.lateUntilMs = untilMs
        return
      case 'doubleJobs':
        if (worker.session) worker.session.consumer.twiceUntilMs = untilMs
    }
  }

  #crash(forMs: number): void {
    const coordinator = this.#coordinator
    if (coordinator?.place.alive !== true) return
    coordinator.membership.breakAll()
    coordinator.place.alive = false
    for (const worker of this.#workers) {
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a worker that is to join later
      if (worker !== undefined && this.scenario.workers[worker.index]?.local === true) worker.die(true)
    }
    this.#resume(forMs)
  }
}
