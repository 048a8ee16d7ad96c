import type { RunSummary } from './run-directory/run-summary.js'

/** What a training tells while it goes on; the last event is the summary. Times are seconds, shares are 0–1. */
export type TrainEvent =
  /** Something long before the first step: `done` of `total` in units of `what`, when known. */
  | { readonly type: 'preparing'; readonly what: string; readonly done?: number; readonly total?: number }
  | {
      readonly type: 'started'
      readonly directory: string
      /** Where workers join: host:port. */
      readonly address: string
      readonly steps: number
      /** Updates already done: 0, or the checkpoint's step on resume. */
      readonly firstStep: number
      /** Those that are trained. */
      readonly parameters: number
      /** Those that are not. */
      readonly frozen: number
      /** M: leaves of a step; more workers than this cannot all compute. */
      readonly leaves: number
      /** Local workers started. */
      readonly workers: number
      /** What the deeper network took from a checkpoint, when it was initialised from one. */
      readonly initialized: readonly InitializedLayer[] | null
    }
  | { readonly type: 'workerJoined'; readonly worker: string; readonly name: string; readonly pid: number; readonly host: string }
  | { readonly type: 'workerLost' | 'workerLeft'; readonly worker: string; readonly name: string; readonly reason: string }
  | { readonly type: 'workerRefused'; readonly name: string; readonly reason: string }
  /** Workers computed the same leaf of the step that makes version `step` with different bits: another one settles it. */
  | { readonly type: 'auditDiffers'; readonly step: number; readonly leaf: number; readonly names: readonly string[] }
  /** It computed wrong bits: its process is not admitted again, and the step is done again without it. */
  | {
      readonly type: 'workerQuarantined'
      readonly worker: string
      readonly name: string
      readonly pid: number
      readonly host: string
      readonly step: number
      readonly leaf: number
    }
  | {
      readonly type: 'step'
      /** Updates done. */
      readonly step: number
      readonly steps: number
      readonly loss: number
      readonly top1: number
      readonly learningRate: number
      readonly samplesPerSecond: number
      readonly secondsLeft: number
      readonly workers: number
      /** Only every run.checkpoint.digestEverySteps steps. */
      readonly stateDigest?: string
      /** Its update was left out: loss or weights were not finite. */
      readonly skipped?: true
    }
  | { readonly type: 'evaluating'; readonly step: number; readonly done: number; readonly total: number }
  | {
      readonly type: 'evaluation'
      readonly step: number
      readonly loss: number
      readonly top1: number
      readonly top5: number
      readonly samples: number
      readonly seconds: number
      readonly best: boolean
    }
  | { readonly type: 'learningRateDropped'; readonly step: number; readonly from: number; readonly to: number }
  | { readonly type: 'checkpoint'; readonly step: number; readonly path: string; readonly stateDigest: string }
  | { readonly type: 'waiting'; readonly reason: string }
  | { readonly type: 'warning'; readonly message: string }
  /** Something that was understood otherwise than it was written, and is all right. */
  | { readonly type: 'note'; readonly message: string }
  | { readonly type: 'stopping'; readonly reason: string }
  | { readonly type: 'summary'; readonly summary: RunSummary; readonly directory: string; readonly finished: boolean }

/** One row of the table of an initialization from a checkpoint. */
export interface InitializedLayer {
  readonly layer: string
  /** Of its kernel. */
  readonly shape: readonly number[]
  readonly source: 'checkpoint' | 'random'
}
