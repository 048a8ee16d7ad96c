import type { Recipe } from '../recipe/schema.js'
import { vggNetwork } from './vgg.js'

/** One layer as data. Names are Keras layer names; tensors are NHWC, kernels HWIO or in × out. */
export type LayerSpec =
  | {
      readonly type: 'convolution'
      readonly name: string
      readonly filters: number
      readonly kernel: number
      readonly stride: number
      readonly padding: 'same' | 'valid'
      readonly activation: 'relu' | 'linear'
    }
  | { readonly type: 'maxPooling'; readonly name: string; readonly size: number; readonly stride: number }
  | {
      readonly type: 'localResponseNormalization'
      readonly name: string
      /** Neighbours on each side: n = 2 · depthRadius + 1 channels are summed. */
      readonly depthRadius: number
      readonly bias: number
      /** Not divided by n. */
      readonly alpha: number
      readonly beta: number
    }
  | { readonly type: 'flatten' | 'globalAveragePooling'; readonly name: string }
  | { readonly type: 'dense'; readonly name: string; readonly units: number; readonly activation: 'relu' | 'linear' }
  | { readonly type: 'dropout'; readonly name: string; readonly rate: number }

/** A network as data. The last layer is the dense layer `predictions`, linear: it yields logits. */
export interface Network {
  /** The configuration by its own name, never an alias: `vgg-d`. */
  readonly name: string
  /** [height, width, channels]. */
  readonly inputShape: readonly [number, number, number]
  readonly classes: number
  /** The index in here is the `layer` of the counters of random numbers. */
  readonly layers: readonly LayerSpec[]
}

/**
 * The network that a recipe's `model` describes.
 * @param classes number of classes of the data set
 * @throws TrainError RECIPE_INVALID when the input is too small for the network's poolings
 */
export function networkOf(model: Recipe['model'], classes: number): Network {
  return vggNetwork(model, classes)
}
