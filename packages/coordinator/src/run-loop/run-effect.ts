import type { ScheduleState, ValidationMetrics } from '@lockstep/shared/optimizer/learning-rate.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { Straggler } from './stragglers.js'
import type { TrainErrorCode } from '@lockstep/shared/errors/train-error.js'

/** The span a worker will likely get at the next step. `begin`: nothing will come between. */
export interface LikelySpan extends LeafRange {
  readonly begin?: true
}

/** What the shell is to do, in this order. */
export type RunEffect =
  /** Contributions of `step` count from now on, but not those of quarantined workers; its update uses `rate`. */
  | {
      readonly type: 'beginStep'
      readonly step: number
      readonly rate: number
      readonly audited?: readonly number[]
      readonly quarantined?: readonly string[]
    }
  | {
      readonly type: 'assignSpan'
      readonly worker: string
      readonly step: number
      readonly span: LeafRange
      readonly hint: LikelySpan | null
      /** Leaves of the span that are sent as nodes of their own. */
      readonly audited?: readonly number[]
      /** Provisional versions that were dropped before. */
      readonly drops?: number
    }
  | { readonly type: 'withdrawSpan'; readonly worker: string; readonly step: number; readonly span: LeafRange }
  | { readonly type: 'commit'; readonly version: number }
  /** After dropStep: the next version is the committed one once more, and is committed. */
  | { readonly type: 'skipStep'; readonly version: number }
  /** Forget the provisional version. `drops`: how many were forgotten, this one included. */
  | { readonly type: 'dropStep'; readonly version: number; readonly drops: number }
  /** An audited leaf was computed by several, and who is right is known. */
  | { readonly type: 'auditSettled'; readonly step: number; readonly leaf: number; readonly equal: boolean }
  /** Workers computed the same leaf with different bits; another one will tell who is right. */
  | { readonly type: 'auditDiffers'; readonly step: number; readonly leaf: number; readonly workers: readonly string[] }
  /** It computed wrong bits: its membership ends and its process never joins again. */
  | { readonly type: 'quarantineWorker'; readonly worker: string; readonly step: number; readonly leaf: number }
  /** A further worker process is needed: to settle a quarrel, or in the place of one in quarantine. */
  | { readonly type: 'startWorker'; readonly role: 'referee' | 'replacement' }
  | { readonly type: 'warn'; readonly message: string }
  | {
      readonly type: 'recordStep'
      readonly version: number
      readonly loss: number
      readonly top1: number
      readonly top5: number
      readonly rate: number
      /** After this step and before any evaluation of the version: what the state digest of the step covers. */
      readonly schedule: ScheduleState
      /** Why the update was left out, if it was. */
      readonly skipped?: string
    }
  | {
      readonly type: 'assignEvaluation'
      readonly worker: string
      readonly version: number
      readonly batches: LeafRange
      readonly drops?: number
    }
  | {
      readonly type: 'recordEvaluation'
      readonly version: number
      readonly metrics: ValidationMetrics
      readonly samples: number
      readonly best: boolean
    }
  | { readonly type: 'learningRateDropped'; readonly version: number; readonly from: number; readonly to: number }
  /** Write the committed version; the run goes on meanwhile. */
  | { readonly type: 'writeCheckpoint'; readonly version: number; readonly schedule: ScheduleState; readonly best: boolean }
  /** End a membership: the worker is silent or makes no progress. */
  | { readonly type: 'expelWorker'; readonly worker: string; readonly reason: string }
  /** A worker is far slower than the others: a person should know. Once an episode. */
  | ({ readonly type: 'reportStraggler' } & Straggler)
  | { readonly type: 'wait'; readonly reason: string }
  | { readonly type: 'finish'; readonly reason: 'steps' | 'plateau' | 'stopped' }
  | { readonly type: 'fail'; readonly code: TrainErrorCode; readonly message: string }
