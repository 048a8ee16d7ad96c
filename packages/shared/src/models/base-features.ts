import type { Network } from './network.js'
import { shapesOf } from './shapes.js'

/** What a frozen base makes of a picture: the output of its last layer. */
export interface BaseFeatures {
  /** Layers before the first that is trained. */
  readonly layers: number
  /** Of one picture, without the batch dimension. */
  readonly shape: readonly number[]
}

/** @returns undefined where the first layer is trained already */
export function baseFeatures(network: Network): BaseFeatures | undefined {
  const layers = network.layers.findIndex(({ trainable }) => trainable !== false)
  const last = layers < 1 ? undefined : shapesOf(network)[layers - 1]
  return last === undefined ? undefined : { layers, shape: last.output }
}
