import { describe, expect, it } from 'vitest'
import { loadTensorFlow } from './load-tensorflow.js'
import { oneThread } from './test-networks.js'
import { nativeZeros, writeVariable } from './weight-writer.js'

oneThread()

/** Bits, since −0 equals 0 and no number equals itself. */
const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length)

describe('writeVariable', () => {
  it.each([
    ['a bias', [5]],
    ['a convolution', [3, 3, 7, 5]],
    ['a kernel of several pieces, the last one short', [700, 3001]],
    ['rows longer than a piece', [3, 1_100_000]],
  ])('writes %s bit for bit, −0, denormal numbers and infinities included', (_, shape) => {
    const tf = loadTensorFlow()
    const before = tf.memory().numTensors
    const size = shape.reduce((product, dimension) => product * dimension, 1)
    const variable = tf.variable(nativeZeros(tf).apply(shape))
    // Four views: TensorFlow copies an array or refers to it by the alignment of its first element.
    for (const shift of [0, 1, 4, 16]) {
      const values = new Float32Array(new SharedArrayBuffer((size + 16) * 4), shift * 4, size)
      values.forEach((__, index) => {
        values[index] = Math.sin(index + shift)
      })
      values.set([-0, 1e-42, Infinity, Number.NaN, -1e-45])
      const expected = bitsOf(values.slice())
      writeVariable(tf, variable, values)
      values.fill(7)
      expect(Buffer.from(bitsOf(variable.dataSync<'float32'>()).buffer).equals(Buffer.from(expected.buffer))).toBe(true)
    }
    variable.dispose()
    // One left: the zeros the variable was made of share its memory.
    expect(tf.memory().numTensors - before).toBeLessThanOrEqual(1)
  })
})
