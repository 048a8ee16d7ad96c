import { frozenPart, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { FrozenState } from './thread-messages.js'

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/**
 * The flat vector of a whole network, put together from what is trained and what is not.
 * @param layout of what is trained
 * @param trained consecutive ranges of its vector, little-endian float32
 */
export function wholeRanges({ whole, values }: FrozenState, layout: ParameterLayout, trained: readonly Uint8Array[]): Uint8Array[] {
  const frozen = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const places = new Map([...layout.entries, ...frozenPart(whole).entries].map(({ name, offset }) => [name, offset * FLOAT_BYTES]))
  return whole.entries.flatMap((entry) =>
    cut(entry.frozen === true ? [frozen] : trained, places.get(entry.name) ?? 0, entry.size * FLOAT_BYTES),
  )
}

/** Bytes [from, from + length) of ranges that follow on each other. */
function cut(ranges: readonly Uint8Array[], from: number, length: number): Uint8Array[] {
  let start = 0
  return ranges.flatMap((range) => {
    const [first, end] = [Math.max(from - start, 0), Math.min(from + length - start, range.length)]
    start += range.length
    return first < end ? [range.subarray(first, end)] : []
  })
}
