import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import { runNative, sharesOurMemory, type TensorFlow } from './load-tensorflow.js'

/** TensorFlow takes memory of ours as it is from this alignment on, whatever the processor; below it makes a copy of its own. */
const ALIGNMENT_BYTES = 64

/**
 * Copies the values of a tensor to where they are wanted, inside TensorFlow: one copy instead of a fresh array of as many bytes, zeroed,
 * filled and copied again. A tensor over our memory is updated in place (InplaceUpdate), as variables are by `writeVariable`.
 * @param target as many elements as the tensor has; may be a view of a SharedArrayBuffer
 */
export function readInto(tf: TensorFlow, tensor: Tensor, target: Float32Array): void {
  if (target.byteOffset % ALIGNMENT_BYTES !== 0 || !sharesOurMemory(tf)) {
    target.set(tensor.dataSync<'float32'>())
    return
  }
  const ours = tf.tensor(target, [1, target.length])
  const row = tf.tensor1d([0], 'int32')
  const values = tf.reshape(tensor, [1, target.length])
  const same = runNative(tf, 'InplaceUpdate', [ours, row, values])
  tf.dispose([same, ours, row, values])
}
