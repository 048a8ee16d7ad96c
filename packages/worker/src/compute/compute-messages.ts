import type { WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import type { LayerTime } from '../engine/layer-times.js'

/** What the main thread and the compute thread say to each other. Requests are answered one by one, in their order. */

/** Given once, with the thread: everything the engine is built from. */
export interface ComputeSetup {
  readonly recipe: Recipe
  /** Number of classes. */
  readonly classes: number
  /** Where the flat vector of all weights that are trained lies, float32, in regions: see {@link WeightsMemory}. */
  readonly weights: WasmMemory
  /** The flat vector of what is not trained, float32; left out where everything is. */
  readonly frozen?: SharedArrayBuffer | undefined
}

/** A micro-batch as it travels to the compute thread; `images` and `labels` are transferred. */
export interface MicroBatch {
  /** [count, h, w, 3]; where `features` is true what the frozen base has made of them. */
  readonly images: Float32Array
  readonly features?: boolean
  readonly labels: Int32Array
  readonly count: number
  /** Stream position of sample 0. */
  readonly firstPosition: number
}

/** A padded batch of which loss and accuracy are wanted; its arrays are transferred. */
export interface LabelledBatch {
  readonly images: Float32Array
  readonly labels: Int32Array
  /** Samples that count; the rest is padding. */
  readonly samples: number
}

/** Crops, or a whole picture, whose soft-max is wanted; `images` is transferred. */
export interface ForwardInput {
  readonly kind: 'crop' | 'dense'
  readonly images: Float32Array
  /** [count, height, width, 3] */
  readonly shape: readonly number[]
}

export type ComputeRequest = { readonly id: number } & ComputeCall
export type ComputeCall =
  | { readonly kind: 'probe' }
  /** From a region of the weights' memory. */
  | { readonly kind: 'setWeights'; readonly region: number }
  | {
      readonly kind: 'gradient'
      readonly batch: MicroBatch
      readonly slot: number
      readonly mode: 'copy' | 'add'
      /** Whether the time of every layer is wanted. */
      readonly timeLayers: boolean
    }
  | { readonly kind: 'add'; readonly into: number; readonly from: number }
  /** Slots whose contents somebody may still read get other memory. */
  | { readonly kind: 'renew'; readonly slots: readonly number[] }
  /** Rounds a slot to bfloat16, in place, for sending. */
  | { readonly kind: 'narrow'; readonly slot: number }
  /** What was rounded away before is forgotten. */
  | { readonly kind: 'forgetResidual' }
  | { readonly kind: 'evaluate'; readonly batch: LabelledBatch }
  | { readonly kind: 'logSoftmax'; readonly input: ForwardInput }
  | { readonly kind: 'features'; readonly images: Float32Array; readonly count: number }

export interface ComputeReply {
  readonly id: number
  readonly statistics?: NodeStatistics
  readonly probe?: { readonly fingerprint: string; readonly leafSeconds: number; readonly features?: string }
  /** [count, classes], logarithm of the soft-max; or features, [count, …]. */
  readonly values?: Float32Array
  /** Byte offset of the accumulator in the shared memory. */
  readonly byteOffset?: number
  /** The file that it is; left out where it cannot be mapped by others. */
  readonly file?: SharedFile
  /** When the request began, on the machine's monotonic clock. */
  readonly startUs: number
  /** If they were wanted. */
  readonly layers?: readonly LayerTime[]
  /** Time the request took on the compute thread. */
  readonly seconds: number
  /** Tensors alive in the engine. */
  readonly tensors: number
  readonly error?: {
    readonly name: string
    readonly code: string | undefined
    readonly message: string
    readonly stack: string | undefined
  }
}

/** The first message of the thread: it is ready, and this is the memory the accumulators lie in. */
export interface ComputeReady {
  readonly ready: true
  readonly memory: WasmMemory
  /** Version of TensorFlow. */
  readonly tensorflow: string
}
