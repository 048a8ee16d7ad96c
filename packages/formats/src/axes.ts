import { invariant } from '@lockstep/shared/errors/train-error.js'

/** Axes of tensors: the same numbers in another order. Pure. */

/**
 * Transposes a row-major tensor.
 * @param shape of `values` @param order axis of `values` that becomes axis 0, 1, … of the result
 */
export function permuteAxes(values: Float32Array, shape: readonly number[], order: readonly number[]): Float32Array {
  invariant(order.length === shape.length, 'every axis has its place')
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, side) => product * side, 1))
  const sides = order.map((axis) => shape[axis] ?? 1)
  const steps = order.map((axis) => strides[axis] ?? 1)
  const out = new Float32Array(values.length)
  const last = sides.length - 1
  const [side = 1, step = 1] = [sides[last], steps[last]]
  const index = new Array<number>(Math.max(0, last)).fill(0)
  let from = 0
  for (let to = 0; to < out.length;) {
    for (let at = from, end = to + side; to < end; at += step) out[to++] = values[at] ?? 0
    for (let axis = last - 1; axis >= 0; axis--) {
      const [next, stride] = [(index[axis] ?? 0) + 1, steps[axis] ?? 0]
      if (next < (sides[axis] ?? 1)) {
        index[axis] = next
        from += stride
        break
      }
      index[axis] = 0
      from -= (next - 1) * stride
    }
  }
  return out
}

/** Our HWIO to PyTorch's OIHW, and back. The first dense layer after a flatten is a convolution in disguise: [h, w, c, out] and [out, c, h, w]. */
export const HWIO_FROM_OIHW = [2, 3, 1, 0] as const
export const OIHW_FROM_HWIO = [3, 2, 0, 1] as const

/** The kernel of a first convolution for pictures with red and blue exchanged: its input channels in reverse. HWIO. */
export function reverseInputChannels(values: Float32Array, shape: readonly number[]): Float32Array {
  const [channels = 1, filters = 1] = shape.slice(-2)
  const out = new Float32Array(values.length)
  for (let at = 0; at < values.length; at += channels * filters) {
    for (let channel = 0; channel < channels; channel++) {
      const row = at + channel * filters
      out.set(values.subarray(row, row + filters), at + (channels - 1 - channel) * filters)
    }
  }
  return out
}
