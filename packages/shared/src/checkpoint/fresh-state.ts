import { initialSchedule } from '../optimizer/learning-rate.js'
import { velocityFloats, type ParameterLayout } from '../parameters/layout.js'
import type { Recipe } from '../recipe/schema.js'
import type { StateBytes } from './checkpoint-writer.js'
import { stateSuffix } from './state-suffix.js'

/** The state of version 0: these weights, nothing moving yet, the schedule at its start. @param weights the flat vector of the layout */
export function freshState(layout: ParameterLayout, weights: Float32Array, learningRate: Recipe['learningRate']): StateBytes {
  return {
    weights: [new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength)],
    velocity: zeros(velocityFloats(layout) * Float32Array.BYTES_PER_ELEMENT),
    suffix: stateSuffix(initialSchedule(learningRate), 0),
  }
}

/** Ranges of zeros that add up to a length, all the same piece of memory. */
function zeros(length: number): Uint8Array[] {
  const piece = new Uint8Array(Math.min(length, 1 << 20))
  const ranges: Uint8Array[] = []
  for (let left = length; left > 0; left -= piece.length) ranges.push(left >= piece.length ? piece : piece.subarray(0, left))
  return ranges
}
