import type { RunPlan } from '@lockstep/coordinator/run-loop/run-state.js'
import { Chance } from './chance.js'
import type { Delays } from './channel.js'

/** What of a worker process is given beforehand. Times in virtual milliseconds. */
export interface WorkerPlan {
  readonly joinsAtMs: number
  readonly leafMs: number
  /** A child of the coordinator: it ends when the coordinator does, and is started again by the next one. */
  readonly local: boolean
  /** It computes something else, and must be refused. */
  readonly impostor: 'build' | 'recipe' | 'data' | 'engine' | undefined
}

export const FAULT_KINDS = [
  ...['kill', 'freeze', 'hang', 'slow', 'leave', 'cutMembership', 'stallMembership', 'cutContributions', 'stallContributions'],
  ...['cutWeights', 'duplicate', 'flushQueue', 'killQueue', 'lateJobs', 'doubleJobs', 'crash', 'pause', 'stop', 'slowCheckpoint'],
  ...['slowThreads', 'oldTerm'],
] as const
/** A worker whose machine becomes slow and stays so: in some histories, and once at most. */
export const LASTING_KIND = 'slowForGood'
export type FaultKind = string
/** Faults after which that worker may rightly be held to be lost although it lives. */
const BLAMED: ReadonlySet<FaultKind> = new Set([
  ...['kill', 'freeze', 'hang', 'slow', LASTING_KIND, 'stallMembership', 'stallContributions', 'lateJobs'],
])
/** So long after such a fault is over, milliseconds: the longest deadline, and what had piled up. */
const BLAMED_MS = 12_000

/** Whether what happened so far excuses that a worker is expelled. Being without a queue once, and being told, does not. */
export function isExcused(faults: readonly Fault[], worker: number, nowMs: number): boolean {
  // while the coordinator sleeps it sees nothing, and begins anew when it wakes
  const asleepMs = faults.reduce((sum, { kind, forMs }) => sum + (kind === 'pause' ? forMs : 0), 0)
  const recent = faults.filter(({ atMs, forMs }) => atMs <= nowMs && nowMs <= atMs + forMs + asleepMs + BLAMED_MS)
  // a queue that lost its jobs without a word shows only at the worker's own deadline, whatever that is
  if (faults.some(({ kind, atMs }) => kind === 'flushQueue' && atMs <= nowMs)) return true
  if (recent.some((fault) => BLAMED.has(fault.kind) && fault.worker === worker)) return true
  return recent.filter(({ kind }) => kind === 'killQueue').length > 1
}

/** A queue that is killed is back by then. */
export const QUEUE_AWAY_MS = 2_000

/** Something that goes wrong at a moment. Which of the numbers mean something depends on the kind. */
export interface Fault {
  readonly kind: FaultKind
  readonly atMs: number
  readonly forMs: number
  readonly worker: number
  readonly slice: number
  readonly factor: number
}

/** A whole history before it happens: with the seed of the remaining chances, everything that will be. */
export interface Scenario {
  readonly seed: number
  readonly plan: RunPlan
  /** Steps whose update is not finite: it is left out. */
  readonly nonFiniteSteps: readonly number[]
  /** Chunks of every slice of the vector. */
  readonly slices: readonly number[]
  readonly workers: readonly WorkerPlan[]
  readonly faults: readonly Fault[]
  readonly network: Delays
  /** Between the coordinator's threads. */
  readonly threads: Delays
  readonly checkpointMs: number
}

/** The history of a seed. */
export function scenarioOf(seed: number): Scenario {
  const chance = new Chance(seed, 'scenario')
  // of a stream of its own: without such steps a seed is the history that it was
  const nonFinite = new Chance(seed, 'non-finite')
  const skips = nonFinite.happens(0.15)
  const plan = { ...planOf(chance), ...(skips ? { nonFinite: 'skip' as const } : {}) }
  const nonFiniteSteps = Array.from({ length: plan.steps }, (_, step) => step).filter(() => skips && nonFinite.happens(0.3))
  const minimum = plan.minimumWorkers
  const count = Math.max(minimum, chance.whole(1, 4))
  const leafMs = chance.between(20, 200)
  const workers = Array.from({ length: count }, (_, index): WorkerPlan => ({
    joinsAtMs: index < minimum || chance.happens(0.8) ? chance.between(0, 300) : chance.between(300, 4_000),
    leafMs: leafMs * (chance.happens(0.25) ? chance.between(2, 8) : chance.between(0.7, 1.4)),
    local: chance.happens(0.5),
    impostor: undefined,
  }))
  if (chance.happens(0.1)) {
    workers.push({
      joinsAtMs: chance.between(400, 3_000),
      leafMs,
      local: false,
      impostor: chance.pick(['build', 'recipe', 'data', 'engine'] as const),
    })
  }
  const slices = Array.from({ length: chance.whole(1, 3) }, () => chance.whole(1, 3))
  // what a run takes when nothing goes wrong, roughly: faults fall into it
  const spanMs = 400 + plan.steps * (100 + (plan.leaves * leafMs) / count) + plan.evaluationBatches * leafMs
  const faults = chance.happens(0.03)
    ? []
    : Array.from({ length: chance.happens(0.1) ? chance.whole(8, 20) : chance.whole(1, 7) }, () =>
        faultOf(chance, spanMs, count, slices.length),
      ).sort((a, b) => a.atMs - b.atMs)
  // likewise of a stream of its own
  const lasting = new Chance(seed, 'lasting')
  if (lasting.happens(0.1)) {
    faults.push({ ...faultOf(lasting, spanMs, count, slices.length), kind: LASTING_KIND, forMs: Infinity, factor: lasting.between(5, 25) })
  }
  return {
    ...{ seed, plan, nonFiniteSteps, slices, workers, faults },
    network: { leastMs: 0.2, mostMs: chance.pick([2, 10, 60]), spikes: chance.pick([0, 0.02, 0.1]), spikeMs: 400 },
    threads: { leastMs: 0.02, mostMs: 1, spikes: chance.pick([0, 0, 0.05]), spikeMs: 60 },
    checkpointMs: chance.pick([5, 100, 1_000]),
  }
}

function planOf(chance: Chance): RunPlan {
  const leaves = chance.pick([1, 2, 3, 4, 5, 6, 7, 8, 8, 11, 12, 16])
  const schedules: RunPlan['learningRate']['schedule'][] = [
    {
      type: 'plateau',
      monitor: chance.pick(['top1', 'top5', 'loss'] as const),
      factor: 0.1,
      patience: chance.whole(1, 2),
      minDelta: 0,
      maxDrops: chance.whole(0, 2),
      thenStop: chance.happens(0.8),
    },
    { type: 'steps', at: [chance.whole(1, 3), chance.whole(4, 6)], factor: 0.1 },
    { type: 'cosine' },
    { type: 'constant' },
  ]
  return {
    leaves,
    globalBatch: leaves * 8,
    steps: chance.whole(1, 8),
    evaluationEvery: chance.pick([null, 1, 1.5, 2, 3]),
    evaluationBatches: chance.pick([0, 1, 3, 6]),
    checkpointEvery: chance.pick([1, 2, 3, 1_000]),
    minimumWorkers: chance.happens(0.2) ? 2 : 1,
    learningRate: { initial: 0.1, warmupSteps: chance.pick([0, 2]), schedule: chance.pick(schedules) },
  }
}

function faultOf(chance: Chance, spanMs: number, workers: number, slices: number): Fault {
  const kind = chance.pick(FAULT_KINDS)
  return {
    kind,
    // mostly while the run goes on, which earlier faults make longer
    atMs: chance.between(50, spanMs * (chance.happens(0.3) ? 4 : 1.2)),
    forMs: chance.happens(0.3) ? chance.between(3_000, 8_000) : chance.between(10, 2_500),
    worker: chance.whole(0, workers - 1),
    slice: chance.whole(0, slices - 1),
    factor: chance.between(1.5, 8),
  }
}

/** A fault in words. */
export function describeFault({ kind, atMs, forMs, worker, slice, factor }: Fault): string {
  const who = `worker ${String(worker)}`
  const at = `at ${String(Math.round(atMs))} ms`
  const during = `for ${String(Math.round(forMs))} ms`
  const words: Record<string, string> = {
    kill: `${who} is killed ${at}, and started again after ${String(Math.round(forMs))} ms`,
    freeze: `${who} is frozen ${at} ${during}`,
    hang: `the computing thread of ${who} hangs ${at} ${during}`,
    slow: `${who} is ${factor.toFixed(1)} times slower ${at} ${during}`,
    [LASTING_KIND]: `${who} is ${factor.toFixed(1)} times slower from ${String(Math.round(atMs))} ms on`,
    leave: `${who} leaves politely ${at}, and comes back after ${String(Math.round(forMs))} ms`,
    cutMembership: `the membership stream of ${who} breaks ${at}`,
    stallMembership: `nothing passes on the membership stream of ${who} ${at} ${during}`,
    cutContributions: `the stream of contributions of ${who} to slice ${String(slice)} breaks ${at}`,
    stallContributions: `nothing passes from ${who} to slice ${String(slice)} ${at} ${during}`,
    cutWeights: `the weights that ${who} is receiving break off ${at}`,
    duplicate: `contributions of ${who} arrive twice ${at} ${during}`,
    flushQueue: `the queue loses all jobs ${at}`,
    killQueue: `the queue is killed ${at}, and back empty after ${String(Math.round(Math.min(forMs, QUEUE_AWAY_MS)))} ms`,
    lateJobs: `jobs reach ${who} late ${at} ${during}`,
    doubleJobs: `jobs reach ${who} twice ${at} ${during}`,
    crash: `the coordinator is killed ${at}, and resumed after ${String(Math.round(forMs))} ms`,
    pause: `the coordinator sleeps ${at} ${during}: its clock jumps`,
    stop: `the run is stopped ${at}, and resumed after ${String(Math.round(forMs))} ms`,
    slowCheckpoint: `checkpoints are written slowly ${at} ${during}`,
    slowThreads: `the averager's threads answer slowly ${at} ${during}`,
    oldTerm: `answers of an earlier term arrive ${at} ${during}`,
  }
  return words[kind] ?? `${kind} ${at}`
}
