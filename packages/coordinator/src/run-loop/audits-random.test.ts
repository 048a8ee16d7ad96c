import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import { philox } from '@lockstep/shared/random/philox.js'
import { describe, expect, it } from 'vitest'
import type { RunEffect } from './run-effect.js'
import type { RunEvent } from './run-event.js'
import { initialRunState, type RunPlan, type RunState } from './run-state.js'
import { transition } from './transition.js'

/**
 * Audits under random histories: workers die in the middle of a leaf, come and go, one of them lies, referees fail. The
 * averager is played on the level of half leaves: what comes first counts. Whatever happens, nobody honest is accused, and
 * nothing wrong in an audited leaf is committed while two processes are there to compare.
 */
const LEAVES = 4
const HALVES = 2
const STEPS = 4
const LIAR = 'host/liar'

class Chance {
  private readonly words = new Uint32Array(4)
  private at = 0
  constructor(private readonly seed: number) {}
  below(limit: number): number {
    philox(this.at++, 0, 0, 0, this.seed, 77, this.words)
    return (this.words[0] ?? 0) % limit
  }
}

interface Copy {
  readonly halves: (string | undefined)[]
  readonly from: Set<string>
}

const copyOf = (): Copy => ({ halves: new Array<string | undefined>(HALVES).fill(undefined), from: new Set() })

class World {
  readonly quarantined: string[] = []
  committedWrong = 0
  steps = 0
  state: RunState
  private readonly chance: Chance
  private readonly processes = new Map<string, string>()
  /** Half leaves that a worker will send, in order. */
  private jobs: { worker: string; leaf: number; half: number; drops: number }[] = []
  private copies = new Map<string, Copy>()
  private refused = new Set<string>()
  private running = false
  private members = 0
  private faults = 12

  constructor(seed: number, share: number) {
    this.chance = new Chance(seed)
    const plan: RunPlan = {
      ...{
        leaves: LEAVES,
        globalBatch: 1,
        steps: STEPS,
        evaluationEvery: null,
        evaluationBatches: 0,
        checkpointEvery: 99,
        minimumWorkers: 1,
      },
      learningRate: { initial: 0.1, warmupSteps: 0, schedule: { type: 'constant' } },
      audit: { seed, share },
    }
    this.state = initialRunState(plan, 0, initialSchedule(plan.learningRate), -1)
    this.join('host/a')
    this.join('host/b')
    this.join(LIAR)
    if (seed % 2 === 0) this.join('host/c')
    this.dispatch({ type: 'started' })
  }

  /** One thing happens. @returns whether the run is over */
  turn(): boolean {
    const pick = this.chance.below(20)
    const members = Object.keys(this.state.workers)
    if (pick === 0 && this.faults > 0 && members.length > 0) {
      this.faults--
      this.leave(members[this.chance.below(members.length)] ?? '')
    } else if (pick === 1 && this.faults > 0) {
      this.faults--
      const gone = [...this.processes.values()].filter((process) => !this.quarantined.includes(process))
      this.join(this.chance.below(2) === 0 ? `host/new${String(this.members)}` : (gone[this.chance.below(gone.length)] ?? 'host/x'))
    } else if (members.length === 0) this.join(`host/new${String(this.members)}`)
    else this.sendSome()
    return this.state.phase === 'ended'
  }

  private join(process: string): void {
    const worker = `w${String(this.members++)}`
    this.processes.set(worker, process)
    this.dispatch({ type: 'workerJoined', worker, process, leafSeconds: 0.1 * (1 + this.chance.below(3)), nowMs: 0 })
  }

  private leave(worker: string): void {
    this.jobs = this.jobs.filter((job) => job.worker !== worker)
    this.dispatch({ type: 'workerGone', worker })
  }

  /** Some worker's next half leaf arrives. Jobs of an attempt that was dropped are still done. */
  private sendSome(): void {
    const busy = [...new Set(this.jobs.map(({ worker }) => worker))]
    const worker = busy[this.chance.below(Math.max(1, busy.length))]
    const index = this.jobs.findIndex((job) => job.worker === worker)
    const [job] = index < 0 ? [] : this.jobs.splice(index, 1)
    if (job === undefined || !this.running || this.refused.has(job.worker)) return
    const isLiar = this.processes.get(job.worker) === LIAR
    this.arrive(job.worker, job.leaf, job.half, isLiar && this.chance.below(2) === 0 ? `wrong${String(this.chance.below(2))}` : 'right')
  }

  private arrive(worker: string, leaf: number, half: number, bits: string): void {
    const own = this.copyIn(`${String(leaf)} ${worker}`)
    const sum = this.copyIn(`${String(leaf)} sum`)
    const accepted = sum.halves[half] === undefined
    if (own.halves[half] === undefined) {
      own.halves[half] = bits
      if (!own.halves.includes(undefined)) this.tell(leaf, [worker], false, own)
    }
    if (!accepted) return
    sum.halves[half] = bits
    sum.from.add(worker)
    if (sum.halves.includes(undefined)) return
    this.tell(leaf, [...sum.from], true, sum)
    this.dispatch({ type: 'leavesCovered', step: this.state.version, first: leaf, count: 1 })
    const whole = Array.from({ length: LEAVES }, (_, other) => this.copyIn(`${String(other)} sum`))
    if (!this.running || whole.some(({ halves }) => halves.includes(undefined))) return
    const counts = { samples: 1, correctTop1: 1, correctTop5: 1, lossSum: 1 }
    this.dispatch({ type: 'stepReduced', step: this.state.version, counts, finite: true })
  }

  private copyIn(key: string): Copy {
    const copy = this.copies.get(key) ?? copyOf()
    this.copies.set(key, copy)
    return copy
  }

  private tell(leaf: number, from: string[], counted: boolean, { halves }: Copy): void {
    if (this.running) this.dispatch({ type: 'leafCopied', step: this.state.version, leaf, from, counted, digest: halves.join() })
  }

  private dispatch(event: RunEvent): void {
    const before = this.state
    const { state, effects } = transition(before, event)
    this.state = state
    for (const effect of effects) this.perform(effect, before)
  }

  private perform(effect: RunEffect, before: RunState): void {
    switch (effect.type) {
      case 'beginStep':
        this.copies.clear()
        this.running = true
        this.refused = new Set(effect.quarantined)
        return
      case 'assignSpan':
        for (let leaf = effect.span.first; leaf < effect.span.first + effect.span.count; leaf++)
          for (let half = 0; half < HALVES; half++) this.jobs.push({ worker: effect.worker, leaf, half, drops: effect.drops ?? 0 })
        return
      case 'dropStep':
        this.running = false
        this.dispatch({ type: 'dropped', version: effect.version })
        return
      case 'commit':
        this.commit(effect.version, before)
        return
      case 'quarantineWorker':
        // what it had on its way still arrives
        this.quarantined.push(this.processes.get(effect.worker) ?? '')
        return
      case 'startWorker':
        if (this.chance.below(3) === 0) this.dispatch({ type: 'refereeGone' })
        else this.join(`host/referee${String(this.members)}`)
        return
      case 'writeCheckpoint':
        this.dispatch({ type: 'checkpointWritten', version: effect.version })
    }
  }

  private commit(version: number, { audits }: RunState): void {
    for (const { leaf } of audits) {
      const waived = this.state.audits.find((audit) => audit.leaf === leaf)?.waived ?? false
      const wrong = this.copyIn(`${String(leaf)} sum`).halves.some((bits) => bits !== 'right')
      if (wrong && !waived) this.committedWrong++
    }
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      const from = [...this.copyIn(`${String(leaf)} sum`).from].map((worker) => this.processes.get(worker) ?? '')
      if (from.some((process) => this.quarantined.includes(process))) this.committedWrong++
    }
    this.running = false
    this.steps++
    // workers give up what is in hand for a step that is over
    this.jobs = []
    this.dispatch({ type: 'committed', version })
  }
}

describe('audits under random histories', () => {
  it.each([1, 0.5])('accuse no honest worker and let nothing wrong through, 500 seeds, share %f', (share) => {
    let caught = 0
    for (let seed = 0; seed < 500; seed++) {
      const world = new World(seed, share)
      let turns = 0
      while (!world.turn()) if (++turns > 20_000) throw new Error(`seed ${String(seed)} makes no progress in phase ${world.state.phase}`)
      const outcome = {
        seed,
        accused: world.quarantined.filter((process) => process !== LIAR),
        wrong: world.committedWrong,
        steps: world.steps,
      }
      expect(outcome).toEqual({ seed, accused: [], wrong: 0, steps: STEPS })
      caught += new Set(world.quarantined).size
    }
    expect(caught).toBeGreaterThan(250)
  })
})
