import { trainedPart, type ParameterEntry } from '@lockstep/shared/parameters/layout.js'
import { describe, expect, it } from 'vitest'
import { wholeRanges } from './whole-ranges.js'

describe('wholeRanges', () => {
  it('puts frozen and trained tensors in the order of the network, wherever slices are cut', () => {
    // as a network has them: parameters first, then statistics, frozen ones before trained ones in both
    const sizes = [3, 2, 4, 1, 5, 2]
    const frozen = [true, true, false, false, true, false]
    let offset = 0
    const entries = sizes.map((size, index): ParameterEntry => {
      const entry = { name: `t${String(index)}`, shape: [size], offset, size, kind: index < 4 ? 'kernel' : 'movingMean' } as const
      offset += size
      return frozen[index] === true ? { ...entry, frozen: true } : entry
    })
    const whole = { entries, size: offset }
    const all = Float32Array.from({ length: offset }, (_, index) => index + 0.5)
    const partOf = (wanted: boolean): number[] =>
      entries.flatMap((entry, index) => (frozen[index] === wanted ? [...all.subarray(entry.offset, entry.offset + entry.size)] : []))
    const values = new Float32Array(new SharedArrayBuffer(10 * 4))
    values.set(partOf(true))
    const trained = new Uint8Array(Float32Array.from(partOf(false)).buffer)
    for (const cut of [0, 4, 12, 16, 20, 28]) {
      const ranges = wholeRanges({ whole, values }, trainedPart(whole), [trained.subarray(0, cut), trained.subarray(cut)])
      expect(Buffer.concat(ranges).equals(Buffer.from(all.buffer)), `cut at ${String(cut)}`).toBe(true)
    }
  })
})
