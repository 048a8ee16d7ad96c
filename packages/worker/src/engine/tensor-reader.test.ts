import { describe, expect, it } from 'vitest'
import { wasm } from '@lockstep/shared/kernels/web-assembly.js'
import { loadTensorFlow } from './load-tensorflow.js'
import { isTakenAsItIs, readInto } from './tensor-reader.js'
import { oneThread } from './test-networks.js'

oneThread()

describe('readInto', () => {
  it.each([
    ['a bias', [5]],
    ['a convolution', [3, 3, 7, 5]],
    ['four million elements', [1000, 4001]],
  ])('brings %s bit for bit, −0, denormal numbers and infinities included, to any place and nowhere else', (_, shape) => {
    const tf = loadTensorFlow()
    const before = tf.memory().numTensors
    const size = shape.reduce((product, dimension) => product * dimension, 1)
    const values = Float32Array.from({ length: size }, (__, index) => Math.sin(index))
    values.set([-0, 1e-42, Infinity, Number.NaN, -1e-45])
    const source = tf.tensor(values, shape)
    // TensorFlow takes memory of ours as it is by the alignment of its first element
    const memory = new wasm.Memory({ initial: 300, maximum: 300, shared: true })
    for (const [buffer, shift] of [
      ...[0, 1, 4, 16].map((at) => [memory.buffer, at] as const),
      [new SharedArrayBuffer((size + 32) * 4), 0] as const,
    ]) {
      const around = new Float32Array(buffer, 0, size + 32).fill(7)
      readInto(tf, source, around.subarray(shift, shift + size))
      expect(Buffer.from(around.slice(shift, shift + size).buffer).equals(Buffer.from(values.buffer))).toBe(true)
      expect([...around.subarray(0, shift), ...around.subarray(shift + size)].every((value) => value === 7)).toBe(true)
    }
    expect(isTakenAsItIs(tf, new Float32Array(memory.buffer, 64, size))).toBe(true)
    expect(isTakenAsItIs(tf, new Float32Array(memory.buffer, 4, size))).toBe(false)
    source.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})
