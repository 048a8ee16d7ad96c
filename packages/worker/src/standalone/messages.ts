import type { TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/** What the standalone child is asked, once, and what it answers. JSON over Node's IPC channel. */
export type StandaloneRequest =
  | ({ readonly kind: 'evaluate' } & EvaluateRequest)
  | ({ readonly kind: 'predict' } & PredictRequest)
  | ({ readonly kind: 'signal' } & SignalRequest)

export interface EvaluateRequest {
  /** Path of a checkpoint of ours. */
  readonly checkpoint: string
  /** A packed or plain folder; left out: the validation set of the checkpoint's recipe. */
  readonly data?: string | undefined
  readonly protocol: 'center'
  /** Test scale Q, pixels of the shorter side; left out: the recipe's. */
  readonly scale?: number | undefined
  /** Pictures of an evaluation batch; left out: the recipe's. Other sizes give other bits. */
  readonly evaluationBatch?: number | undefined
}

export interface PredictRequest {
  readonly checkpoint: string
  /** Paths of pictures. */
  readonly images: readonly string[]
  /** How many classes to name, most probable first. */
  readonly top: number
}

export interface SignalRequest {
  /** Validated recipes with absolute paths. */
  readonly recipes: readonly Recipe[]
}

export interface EvaluationReport {
  /** Mean soft-max cross entropy. */
  readonly loss: number
  /** Shares between 0 and 1. */
  readonly top1: number
  readonly top5: number
  readonly samples: number
  readonly perClass: readonly { readonly name: string; readonly samples: number; readonly top1: number; readonly top5: number }[]
  readonly seconds: number
}

export interface Prediction {
  readonly image: string
  readonly classes: readonly { readonly name: string; readonly probability: number }[]
}

/** Root mean squares over one micro-batch at initialization; null where a value is not finite. */
export interface SignalReport {
  /** Of the input values. */
  readonly input: number | null
  /** Mean soft-max cross entropy. */
  readonly loss: number | null
  /** The layers with parameters, in network order. */
  readonly layers: readonly LayerSignal[]
}

export interface LayerSignal {
  readonly layer: string
  /** Of the output, after its activation function. */
  readonly activation: number | null
  /** Of the gradient of the mean loss in the kernel. */
  readonly gradient: number | null
  /** Of the kernel's weights. */
  readonly kernel: number | null
}

export interface StandaloneProgress {
  /** Pictures, or recipes, done and in all. */
  readonly done: number
  readonly total: number
}

export type StandaloneMessage =
  | { readonly type: 'progress'; readonly progress: StandaloneProgress }
  | { readonly type: 'evaluated'; readonly report: EvaluationReport }
  | { readonly type: 'predicted'; readonly predictions: readonly Prediction[] }
  | { readonly type: 'signals'; readonly reports: readonly SignalReport[] }
  | { readonly type: 'failed'; readonly code: TrainErrorCode; readonly message: string }
