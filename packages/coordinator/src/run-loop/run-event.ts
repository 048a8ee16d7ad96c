import type { BatchCounts } from './run-state.js'

/** What can happen to a run. Times are the coordinator's clock in milliseconds, put in by whoever brings the event. */
export type RunEvent =
  | { readonly type: 'started' }
  | {
      readonly type: 'workerJoined'
      readonly worker: string
      readonly leafSeconds: number
      readonly nowMs: number
      readonly process?: string
    }
  /** Gone, politely or not: what it had in hand is given to the others. */
  | { readonly type: 'workerGone'; readonly worker: string }
  /** A heartbeat. `progress`: a counter grew since the last one. */
  | { readonly type: 'workerHeard'; readonly worker: string; readonly progress: boolean; readonly nowMs: number }
  | { readonly type: 'spanFinished'; readonly worker: string; readonly step: number; readonly leaves: number; readonly seconds: number }
  /** Every chunk of every slice has these leaves of the step. */
  | { readonly type: 'leavesCovered'; readonly step: number; readonly first: number; readonly count: number }
  /** The provisional version step + 1 is whole. */
  | {
      readonly type: 'stepReduced'
      readonly step: number
      readonly counts: BatchCounts
      readonly finite: boolean
      /** Where it began that something is not finite, in words. */
      readonly origin?: string
    }
  /** An audited leaf is whole: as the one worker of `from` sent it, or (`counted`) as it is in the sum. `digest` is of its bits. */
  | {
      readonly type: 'leafCopied'
      readonly step: number
      readonly leaf: number
      readonly from: readonly string[]
      readonly counted: boolean
      readonly digest: string
    }
  | { readonly type: 'committed'; readonly version: number }
  /** The provisional version is forgotten: its step may begin again. */
  | { readonly type: 'dropped'; readonly version: number }
  /** A worker that was started to settle a quarrel ended before it joined. */
  | { readonly type: 'refereeGone' }
  | {
      readonly type: 'evaluationResult'
      readonly worker: string
      readonly version: number
      readonly batch: number
      readonly counts: BatchCounts
    }
  | { readonly type: 'checkpointWritten'; readonly version: number }
  /** The queue lost its jobs, all or one worker's: whatever is not done must be put there again. */
  | { readonly type: 'queueLost'; readonly worker?: string }
  | { readonly type: 'stopRequested'; readonly reason: string }
  | { readonly type: 'tick'; readonly nowMs: number }
