import type { Variable } from '@tensorflow/tfjs-node-gpu'
import { runNative, type TensorFlow } from './load-tensorflow.js'

/** Elements written at once, 4 MB: rows of a kernel, as many as fit. */
const PIECE_FLOATS = 1_048_576

/**
 * Writes values into the memory a variable already has. A new tensor a step would cost twice the memory: tfjs reads a typed
 * array late, TensorFlow copies it or not by its alignment, and memory once freed stays in its pool. The values are
 * TensorFlow's own when this returns.
 * @param variable of rank 1 or more, in TensorFlow's memory (see {@link nativeZeros})
 * @param values as many as the variable has; may be a view of a SharedArrayBuffer
 */
export function writeVariable(tf: TensorFlow, variable: Variable, values: Float32Array): void {
  const [rows = 1, ...rowShape] = variable.shape
  const rowFloats = values.length / rows
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_FLOATS / rowFloats))
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first)
    const indices = tf.tensor1d(
      Int32Array.from({ length: count }, (_, row) => first + row),
      'int32',
    )
    const piece = tf.tensor(values.subarray(first * rowFloats, (first + count) * rowFloats), [count, ...rowShape])
    // Writes into its first input and returns another handle of the same memory.
    const same = runNative(tf, 'InplaceUpdate', [variable, indices, piece])
    tf.dispose([same, indices, piece])
  }
}

/** Has a variable be the values themselves, without a copy; nothing writes to them. Those that TensorFlow cannot take as they are it copies when it first reads them. */
export function lendMemory(tf: TensorFlow, variable: Variable, values: Float32Array): void {
  const lent = tf.tensor(values, variable.shape)
  variable.assign(lent)
  lent.dispose()
}

/** Gives a variable memory of TensorFlow's own again, zero. */
export function giveOwnMemory(tf: TensorFlow, variable: Variable): void {
  const own = tf.fill(variable.shape, 0, 'float32')
  variable.assign(own)
  own.dispose()
}

/** An initializer whose zeros are TensorFlow's own memory from the start; those of tf.layers are a typed array until first used. */
export function nativeZeros(tf: TensorFlow): ReturnType<TensorFlow['initializers']['zeros']> {
  const zeros = tf.initializers.zeros()
  zeros.apply = (shape) => tf.fill(shape as number[], 0, 'float32')
  return zeros
}
