import { describe, expect, it } from 'vitest'
import { philox } from './philox.js'

/** Known answers of Random123 (kat_vectors, philox4x32 10): counter, key, result. */
const KNOWN_ANSWERS: [number[], number[], number[]][] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
]

describe('philox', () => {
  it.each(KNOWN_ANSWERS)('gives the published answer for counter %j and key %j', (counter, key, expected) => {
    const [c0 = 0, c1 = 0, c2 = 0, c3 = 0] = counter
    const [k0 = 0, k1 = 0] = key
    const out = new Uint32Array(6)
    philox(c0, c1, c2, c3, k0, k1, out, 1)
    expect([...out]).toEqual([0, ...expected, 0])
  })

  it('gives other words when any word of counter or key changes', () => {
    const blocks = new Set<string>()
    for (let changed = 0; changed <= 6; changed++) {
      const words = [1, 2, 3, 4, 5, 6].map((word, index) => (index === changed ? word + 1 : word))
      const [c0 = 0, c1 = 0, c2 = 0, c3 = 0, k0 = 0, k1 = 0] = words
      const out = new Uint32Array(4)
      philox(c0, c1, c2, c3, k0, k1, out)
      blocks.add(out.join())
    }
    expect(blocks.size).toBe(7)
  })
})
