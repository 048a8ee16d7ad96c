import { describe, expect, it } from 'vitest'
import { philox } from '../random/philox.js'
import { Arena } from './arena.js'

const LENGTHS = [1, 7, 8, 9, 16, 1003, 20_001]
const f = Math.fround

/** Every bit pattern may come, NaN of both kinds included; a third lies half way between two bfloat16, or next to it. */
function patterns(count: number): Uint32Array {
  const bits = new Uint32Array(count + 4)
  for (let at = 0; at < count; at += 4) philox(at / 4, 3, 0, 0, 23, 0, bits, at)
  const special = [
    0, 0x8000_0000, 1, 0x7f80_0000, 0xff80_0000, 0x7f80_0001, 0x7fc0_0000, 0x7f7f_ffff, 0x7f7f_8000, 0x7f7f_7fff, 0xffff_ffff,
  ]
  for (let i = 0; i < count; i++) {
    const high = (bits[i] ?? 0) & 0xffff_0000
    if (i % 3 === 0) bits[i] = high + ([0x7fff, 0x8000, 0x8001][(i % 9) / 3] ?? 0)
    if (i % 7 === 0) bits[i] = special[(i / 7) % special.length] ?? 0
  }
  return bits.subarray(0, count)
}

function floatOf(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0] ?? 0
}

/** Rounded by its distances to both neighbours in float64; of two equally near ones the even one. */
function nearest(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0
  const below = bits >>> 16
  const [low, high] = [floatOf((below << 16) >>> 0), floatOf(((below + 1) << 16) >>> 0)]
  if (!Number.isFinite(value)) return below
  // what lies beyond the largest number counts as the power of two that would be next
  const above = Number.isFinite(high) ? high : Math.sign(value) * 2 ** 128
  const [down, up] = [Math.abs(value - low), Math.abs(above - value)]
  return down < up || (down === up && below % 2 === 0) ? below : below + 1
}

function halvesOf(arena: Arena, offset: number, count: number): Uint16Array {
  return new Uint16Array(arena.halves(offset, count).slice().buffer)
}

describe('narrow', () => {
  it('rounds to nearest-even for any length and any bits, and keeps NaN and infinity', () => {
    for (const length of LENGTHS) {
      const arena = Arena.create(1 << 22)
      const bits = patterns(length)
      const [values, destination] = [arena.allocate(length), arena.allocate(length)]
      arena.bytes(values, length).set(new Uint8Array(bits.slice().buffer))
      arena.narrow({ values, destination, floats: length })
      const halves = halvesOf(arena, destination, length)
      const wrong = [...halves].findIndex((half, i) => {
        const value = floatOf(bits[i] ?? 0)
        return Number.isNaN(value) ? !Number.isNaN(floatOf((half << 16) >>> 0)) : half !== nearest(value)
      })
      expect({ wrong, bits: bits[wrong]?.toString(16), half: halves[wrong]?.toString(16) }).toEqual({ wrong: -1 })
      arena.narrow({ values, destination: values, floats: length })
      expect(halvesOf(arena, values, length)).toEqual(halves)
    }
  })

  it('adds what was lost before and keeps what it loses, exactly', () => {
    for (const length of LENGTHS) {
      const arena = Arena.create(1 << 22)
      const [values, destination, residual] = [arena.allocate(length), arena.allocate(length), arena.allocate(length)]
      const ordinary = Float32Array.from({ length }, (_, i) => f(Math.sin(i + 1) * 10 ** ((i % 9) - 4)))
      arena.view(residual, length).fill(0)
      const sums = new Float64Array(length)
      for (let round = 0; round < 50; round++) {
        arena.view(values, length).set(ordinary)
        const before = arena.view(residual, length).slice()
        arena.narrow({ values, destination, floats: length, feedback: { residual, next: residual } })
        const halves = halvesOf(arena, destination, length)
        halves.forEach((half, i) => {
          const x = f((ordinary[i] ?? 0) + (before[i] ?? 0))
          expect(half).toBe(nearest(x))
          expect(arena.view(residual, length)[i]).toBe(x - floatOf((half << 16) >>> 0))
          sums[i] = (sums[i] ?? 0) + floatOf((half << 16) >>> 0)
        })
        if (length > 1000) break
      }
      // what is sent in fifty rounds differs from fifty times the value by one rounding, not by fifty
      if (length <= 1000)
        sums.forEach((sum, i) => {
          expect(Math.abs(sum / 50 / (ordinary[i] ?? 1) - 1)).toBeLessThan(2 ** -8 / 25)
        })
    }
  })

  it('carries nothing on from what is not finite', () => {
    for (const length of [3, 8]) {
      const arena = Arena.create(1 << 20)
      const [values, destination, residual] = [arena.allocate(length), arena.allocate(length), arena.allocate(length)]
      arena.view(values, length).set([Number.NaN, Infinity, 3.4028234663852886e38])
      arena.view(residual, length).fill(0.25)
      arena.narrow({ values, destination, floats: length, feedback: { residual, next: residual } })
      expect([...arena.view(residual, 3)]).toEqual([0, 0, 0])
      expect(halvesOf(arena, destination, 3).slice(1)).toEqual(Uint16Array.of(0x7f80, 0x7f80))
    }
  })
})

describe('widen', () => {
  it('is exact, also from the last half of its destination', () => {
    for (const length of LENGTHS) {
      const arena = Arena.create(1 << 22)
      const destination = arena.allocate(length)
      const halves = new Uint16Array(patterns(length).map((bits) => bits >>> 16))
      const source = destination + 2 * length
      arena.halves(source, length).set(new Uint8Array(halves.buffer))
      arena.widen(destination, source, length)
      const words = new Uint32Array(arena.bytes(destination, length).slice().buffer)
      expect(words).toEqual(Uint32Array.from(halves, (half) => (half << 16) >>> 0))
    }
  })
})
