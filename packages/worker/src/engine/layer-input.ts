import type { layers, Tensor } from '@tensorflow/tfjs-node-gpu'
import { invariant } from '@lockstep/shared/errors/train-error.js'

/** A layer's shape as tf.layers has it, the batch dimension null. */
export type LayerShape = Parameters<layers.Layer['build']>[0]

/** The one tensor a layer is called with. */
export function single(inputs: Tensor | Tensor[]): Tensor {
  const [input] = Array.isArray(inputs) ? inputs : [inputs]
  invariant(input !== undefined, 'a layer is called with one tensor')
  return input
}

/** The two tensors a layer is called with. */
export function pair(inputs: Tensor | Tensor[]): [Tensor, Tensor] {
  const [first, second] = Array.isArray(inputs) ? inputs : [inputs]
  invariant(first !== undefined && second !== undefined, 'a layer in which two paths meet is called with two tensors')
  return [first, second]
}
