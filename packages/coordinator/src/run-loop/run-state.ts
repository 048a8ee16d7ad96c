import type { LearningRateRecipe, ScheduleState } from '@lockstep/shared/optimizer/learning-rate.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { Span } from './assignment.js'

/** What a run is to do; fixed while a coordinator serves. */
export interface RunPlan {
  /** M: leaves of a step. */
  readonly leaves: number
  /** B: samples of a step. */
  readonly globalBatch: number
  /** Updates in all. */
  readonly steps: number
  /** Steps between evaluations, not necessarily whole; null: only at the end. */
  readonly evaluationEvery: number | null
  /** Batches of one evaluation; 0: there is nothing to evaluate on. */
  readonly evaluationBatches: number
  readonly checkpointEvery: number
  readonly minimumWorkers: number
  /** A replay ends after so many updates and saves nothing; left out: a training. */
  readonly replayUntil?: number
  readonly learningRate: LearningRateRecipe
  /** Spans do not follow speed, since the result depends on them; left out: they do. */
  readonly evenSpans?: boolean
  /** What becomes of a step whose loss or weights are not finite; left out: stop. */
  readonly nonFinite?: Recipe['nonFinite']
  /** Which leaves are computed twice; left out: none. */
  readonly audit?: { readonly seed: number; readonly share: number }
}

/** A worker as the run loop sees it. Times are the coordinator's clock, milliseconds, as events brought them. */
export interface WorkerState {
  readonly worker: string
  /** Host and process id: what tells one computer of leaves from another, over all its memberships. */
  readonly process: string
  leafSeconds: number
  /** Leaves of the step under way that it was given and that are not covered yet. */
  leaves: number[]
  /** Audited leaves of the step under way that it was asked for and has not sent, whether they are covered or not. */
  audits: number[]
  /** Evaluation batches that it was given and that have no result yet. */
  batches: number[]
  lastHeardMs: number
  lastProgressMs: number
  /** Turns in a row in which it was far slower than the others; see stragglers.ts. */
  slowTurns: number
}

/** Exact result of one evaluation batch. */
export interface BatchCounts {
  readonly samples: number
  readonly correctTop1: number
  readonly correctTop5: number
  readonly lossSum: number
}

/** An audited leaf as one worker sent it, whole. */
export interface LeafCopy {
  readonly worker: string
  readonly process: string
  /** Of its bits. */
  readonly digest: string
}

/** An audited leaf of the step under way. */
export interface AuditedLeaf {
  readonly leaf: number
  /** In the order of arrival, one a process. */
  readonly copies: LeafCopy[]
  /** What counts in the sum, once all of it does, and the workers it came from. */
  counted: { readonly from: readonly string[]; readonly digest: string } | null
  /** Nobody is left who could be compared: the step does not wait for it. */
  waived: boolean
}

/** `starting`: workers may join, but the weights are not there yet. `dropping`: the provisional version is being forgotten. `failing`: the run ends once the checkpoint under way is whole. */
export type Phase = 'starting' | 'waiting' | 'stepping' | 'dropping' | 'committing' | 'evaluating' | 'saving' | 'failing' | 'ended'

export interface RunState {
  readonly plan: RunPlan
  phase: Phase
  /** Committed weights version: updates done. The step under way is the one that reads it. */
  version: number
  schedule: ScheduleState
  workers: Record<string, WorkerState>
  /** Per leaf of the step under way: whether every chunk of every slice has it. */
  covered: boolean[]
  /** Audited leaves of the step under way; it is committed only when all of them are settled. */
  audits: AuditedLeaf[]
  /** The provisional version is whole; its audits may not be settled. */
  reduction: { readonly counts: BatchCounts; readonly finite: boolean; readonly origin?: string | undefined } | null
  /** Process by membership, of everyone who was here, as far as leaves are audited. */
  processes: Record<string, string>
  /** Memberships of processes that computed wrong bits. */
  quarantined: string[]
  /** How many provisional versions were dropped. */
  drops: number
  /** Somebody was asked for who settles a quarrel, and has not come. */
  refereeAwaited: boolean
  loneWorkerTold: boolean
  /** Spans of the newest step, for the next one's plan. */
  spans: Span[]
  /** Results by batch number of the evaluation under way. */
  evaluation: (BatchCounts | null)[]
  /** Version of the newest whole checkpoint; −1: none. */
  savedVersion: number
  /** Version being written now, or null. */
  savingVersion: number | null
  /** The newest evaluation was the best: its checkpoint is linked as such. */
  bestPending: boolean
  stopReason: string | null
  /** Steps in a row whose update was left out. */
  skips: number
  /** Why the run ends, in phase `failing`. */
  failure: string
  /** The clock at the newest tick, or null before the first. */
  tickMs: number | null
}

/** The state in which a coordinator starts to serve. @param version updates done: 0, or the checkpoint's on resume */
export function initialRunState(plan: RunPlan, version: number, schedule: ScheduleState, savedVersion: number): RunState {
  return {
    plan,
    phase: 'starting',
    version,
    schedule,
    workers: {},
    covered: [],
    ...{ audits: [], reduction: null, processes: {}, quarantined: [], drops: 0, refereeAwaited: false, loneWorkerTold: false },
    spans: [],
    evaluation: [],
    savedVersion,
    savingVersion: null,
    bestPending: false,
    stopReason: null,
    skips: 0,
    failure: '',
    tickMs: null,
  }
}

/** Whether something that comes every `every` updates (not necessarily whole) is due at `version`. */
export function isDue(version: number, every: number): boolean {
  return version > 0 && Math.floor(version / every) > Math.floor((version - 1) / every)
}

/** Consecutive numbers as ranges: [1, 2, 3, 7] → 1+3, 7+1. @param numbers ascending */
export function rangesOf(numbers: readonly number[]): LeafRange[] {
  const ranges: { first: number; count: number }[] = []
  for (const number of numbers) {
    const last = ranges.at(-1)
    if (last !== undefined && last.first + last.count === number) last.count += 1
    else ranges.push({ first: number, count: 1 })
  }
  return ranges
}

/** What a job says of versions that were dropped, if any were. */
export function afterDrops({ drops }: RunState): { drops?: number } {
  return drops === 0 ? {} : { drops }
}
