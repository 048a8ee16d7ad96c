import type { Tensor } from '@tensorflow/tfjs-node-gpu'
import { runNative, sharesOurMemory, type TensorFlow } from './load-tensorflow.js'

/** From this alignment on TensorFlow takes memory of ours as it is, whatever the processor; below it makes a copy of its own. */
const ALIGNMENT_BYTES = 64

/**
 * Copies the values of a tensor to where they are wanted, inside TensorFlow: one copy instead of a fresh array of as many bytes, zeroed,
 * filled and copied again. A tensor over our memory is updated in place (InplaceUpdate), as variables are by `writeVariable`.
 * @param target as many elements as the tensor has; may be a view of a SharedArrayBuffer. It need not be aligned; a WebAssembly memory is
 */
export function readInto(tf: TensorFlow, tensor: Tensor, target: Float32Array): void {
  if (isTakenAsItIs(tf, target)) update(tf, target, tensor)
  else target.set(tensor.dataSync<'float32'>())
}

function update(tf: TensorFlow, target: Float32Array, tensor: Tensor): void {
  const ours = tf.tensor(target, [1, target.length])
  const row = tf.tensor1d([0], 'int32')
  const values = tf.reshape(tensor, [1, target.length])
  const same = runNative(tf, 'InplaceUpdate', [ours, row, values])
  tf.dispose([same, ours, row, values])
}

/** Whether a buffer begins at an aligned address, as tried. */
const beginAligned = new WeakMap<ArrayBufferLike, boolean>()

/** Whether TensorFlow writes here itself. JavaScript does not tell addresses, so a buffer is tried once: does a number arrive? */
export function isTakenAsItIs(tf: TensorFlow, target: Float32Array): boolean {
  if (target.byteOffset % ALIGNMENT_BYTES !== 0 || !sharesOurMemory(tf)) return false
  let aligned = beginAligned.get(target.buffer)
  if (aligned === undefined) {
    const first = target.subarray(0, 1)
    first[0] = 0
    const one = tf.fill([1], 1)
    update(tf, first, one)
    one.dispose()
    aligned = first[0] !== 0
    beginAligned.set(target.buffer, aligned)
  }
  return aligned
}
