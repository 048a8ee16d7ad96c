import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import type { TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/** What the standalone child is asked, once, and what it answers. JSON over Node's IPC channel. */
export type StandaloneRequest =
  | ({ readonly kind: 'evaluate' } & EvaluateRequest)
  | ({ readonly kind: 'predict' } & PredictRequest)
  | ({ readonly kind: 'signal' } & SignalRequest)

/** How pictures are looked at, where it is not to be as in the run that made the checkpoint. */
export interface ViewsRequest {
  readonly protocol?: EvaluationViews['protocol'] | undefined
  /** Test scales Q, pixels of the shorter side. */
  readonly scales?: readonly number[] | undefined
  readonly flip?: boolean | undefined
}

export interface EvaluateRequest {
  /** Paths of checkpoints of ours; the soft-max outputs of several are averaged. */
  readonly checkpoints: readonly string[]
  /** A packed or plain folder; left out: the validation set of the first checkpoint's recipe. */
  readonly data?: string | undefined
  readonly views?: ViewsRequest | undefined
  /** Pictures of an evaluation batch; left out: each recipe's. Other sizes give other bits. */
  readonly evaluationBatch?: number | undefined
}

export interface PredictRequest {
  /** Several: the mean of what they see. */
  readonly checkpoints: readonly string[]
  /** Paths of pictures. */
  readonly images: readonly string[]
  /** How many classes to name, most probable first. */
  readonly top: number
  readonly views?: ViewsRequest | undefined
}

export interface SignalRequest {
  /** Validated recipes with absolute paths. */
  readonly recipes: readonly Recipe[]
}

export interface EvaluationReport {
  /** One a checkpoint: how it looked at pictures. */
  readonly views: readonly EvaluationViews[]
  /** Mean cross entropy, of the averaged soft-max where several were averaged; of a regression the mean squared error. */
  readonly loss: number
  /** Of a regression, whose top-1 and top-5 are of the classes whose values are nearest. */
  readonly meanAbsoluteError?: number
  /** Shares between 0 and 1. */
  readonly top1: number
  readonly top5: number
  readonly samples: number
  /** Pictures, not shares. */
  readonly correctTop1: number
  readonly correctTop5: number
  readonly perClass: readonly ClassReport[]
  /** [true class][first choice]: pictures. Those of which every output is no number stand in no column. */
  readonly confusion: readonly (readonly number[])[]
  readonly seconds: number
}

export interface ClassReport {
  readonly name: string
  readonly samples: number
  /** Shares between 0 and 1; 0 without samples. */
  readonly top1: number
  readonly top5: number
}

export interface Prediction {
  readonly image: string
  readonly classes: readonly { readonly name: string; readonly probability: number }[]
  /** Of a regression, instead of classes. */
  readonly value?: number
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
