import { describe, expect, it } from 'vitest'
import { philox } from '../random/philox.js'
import { Arena } from './arena.js'

/** Every bit pattern may come, NaN aside: denormals, zeros of both signs, infinities, the largest and the smallest. */
function patterns(count: number, stream: number): Float32Array {
  const bits = new Uint32Array(count + 4)
  for (let at = 0; at < count; at += 4) philox(at / 4, stream, 0, 0, 17, 0, bits, at)
  const values = new Float32Array(bits.buffer, 0, count)
  const special = [0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, 3.4028234663852886e38, -3.4028234663852886e38, Infinity, -Infinity, 1]
  for (let i = 0; i < count; i++) {
    if (Number.isNaN(values[i])) values[i] = -0
    if (i % 7 === stream % 7) values[i] = special[i % special.length] ?? 0
    if (i % 5 === 0) bits[i] = (bits[i] ?? 0) & 0x80ffffff // small: mostly denormal
  }
  return values
}

/** Numbers of the size that training has. */
function ordinary(count: number, stream: number): Float32Array {
  const words = new Uint32Array(count + 4)
  for (let at = 0; at < count; at += 4) philox(at / 4, stream, 1, 0, 17, 0, words, at)
  return Float32Array.from({ length: count }, (_, i) => (words[i] ?? 0) / 2 ** 32 - 0.5)
}

function put(arena: Arena, values: Float32Array): number {
  const offset = arena.allocate(values.length)
  arena.view(offset, values.length).set(values)
  return offset
}

const bitsOf = (values: Float32Array): Int32Array => new Int32Array(values.slice().buffer)
const sameBits = (actual: Float32Array, expected: Float32Array): void => {
  const [a, b] = [bitsOf(actual), bitsOf(expected)]
  const differing = a.findIndex((bits, i) => bits !== b[i] && !(Number.isNaN(actual[i]) && Number.isNaN(expected[i])))
  expect({ index: differing, actual: actual[differing], expected: expected[differing] }).toEqual({
    index: -1,
    actual: undefined,
    expected: undefined,
  })
}

const f = Math.fround
const LENGTHS = [1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 33, 64, 1003, 20_001]

describe('add', () => {
  it('is float32 addition, element by element, for any length and any bits', () => {
    for (const length of LENGTHS) {
      const arena = Arena.create(1 << 22)
      const [left, right] = [patterns(length, 1), patterns(length, 2)]
      const [a, b, c] = [put(arena, left), put(arena, right), put(arena, new Float32Array(length + 8).fill(7))]
      arena.add(c, a, b, length)
      const expected = left.map((value, i) => f(value + (right[i] ?? 0)))
      sameBits(arena.view(c, length), expected)
      expect([...arena.view(c + 4 * length, 8)]).toEqual(Array.from({ length: 8 }, () => 7))
      arena.add(a, a, b, length)
      sameBits(arena.view(a, length), expected)
      arena.view(a, length).set(left)
      arena.add(b, a, b, length)
      sameBits(arena.view(b, length), expected)
    }
  })

  it('keeps denormals and the sign of zero', () => {
    const arena = Arena.create(1 << 20)
    const left = Float32Array.of(2 ** -149, -0, -0, 2 ** -126, 2 ** -149)
    const right = Float32Array.of(2 ** -149, -0, 0, -(2 ** -127), -(2 ** -149))
    const [a, b] = [put(arena, left), put(arena, right)]
    arena.add(a, a, b, 5)
    const sums = [...arena.view(a, 5)]
    expect(sums).toEqual([2 ** -148, -0, 0, 2 ** -127, 0])
    expect(Object.is(sums[1], -0)).toBe(true)
  })
})

interface Case {
  weights: Float32Array
  velocity: Float32Array
  gradient: Float32Array
}

function run(
  input: Case,
  momentum: number,
  rate: number,
  decay: number,
  nesterov = false,
): { finite: boolean; weights: Float32Array; velocity: Float32Array } {
  const arena = Arena.create(1 << 22)
  const floats = input.weights.length
  const offsets = { weights: put(arena, input.weights), velocity: put(arena, input.velocity), gradient: put(arena, input.gradient) }
  const next = { nextWeights: arena.allocate(floats), nextVelocity: arena.allocate(floats) }
  const finite = arena.update({ ...offsets, ...next, floats, momentum, rate, decay, nesterov })
  return { finite, weights: arena.view(next.nextWeights, floats), velocity: arena.view(next.nextVelocity, floats) }
}

describe.each([
  ['classical', false],
  ['Nesterov', true],
])('update with %s momentum', (_, nesterov) => {
  it('has the bits of its formula rounded after every operation', () => {
    for (const length of LENGTHS) {
      for (const make of [ordinary, patterns]) {
        const input = { weights: make(length, 3), velocity: make(length, 4), gradient: make(length, 5) }
        for (const [momentum, rate, decay] of [
          [0.9, 0.01, 5e-4],
          [0.9, 0.1, 0],
          [0, 1e-30, 1],
        ] as const) {
          const result = run(input, momentum, rate, decay, nesterov)
          const changes = input.gradient.map((g, i) => f(f(rate) * f(g + f(f(decay) * (input.weights[i] ?? 0)))))
          const velocity = input.velocity.map((v, i) => f(f(f(momentum) * v) - (changes[i] ?? 0)))
          const moves = nesterov ? velocity.map((v, i) => f(f(f(momentum) * v) - (changes[i] ?? 0))) : velocity
          const weights = input.weights.map((w, i) => f(w + (moves[i] ?? 0)))
          sameBits(result.velocity, velocity)
          sameBits(result.weights, weights)
          expect(result.finite).toBe([...weights, ...velocity].every(Number.isFinite))
        }
      }
    }
  })

  it('is close to the same formula in float64', () => {
    const length = 10_000
    const input = { weights: ordinary(length, 6), velocity: ordinary(length, 7), gradient: ordinary(length, 8) }
    const result = run(input, 0.9, 0.01, 5e-4, nesterov)
    for (let i = 0; i < length; i++) {
      const [w, v, g] = [input.weights[i] ?? 0, input.velocity[i] ?? 0, input.gradient[i] ?? 0]
      const change = 0.01 * (g + 5e-4 * w)
      const velocity = 0.9 * v - change
      const move = nesterov ? 0.9 * velocity - change : velocity
      expect(Math.abs((result.velocity[i] ?? 0) - velocity)).toBeLessThan(2 ** -23)
      expect(Math.abs((result.weights[i] ?? 0) - (w + move))).toBeLessThan(2 ** -22)
    }
  })

  it.each([
    ['NaN in a gradient', NaN],
    ['infinity in a gradient', Infinity],
    ['an overflow', -3.4e38],
  ])('notices %s at every position', (_, bad) => {
    for (let at = 0; at < 11; at++) {
      const gradient = new Float32Array(11)
      const weights = new Float32Array(11).fill(3.4e38)
      expect(run({ weights, velocity: new Float32Array(11), gradient }, 0.9, 1, 0, nesterov).finite).toBe(true)
      gradient[at] = bad
      expect(run({ weights, velocity: new Float32Array(11), gradient }, 0.9, 1, 0, nesterov).finite).toBe(false)
    }
  })

  it('is PyTorch’s update while the rate stands still, and not after a drop', () => {
    // PyTorch: b ← μ·b + d; w ← w − ε·b, or, Nesterov, w ← w − ε·(d + μ·b), with d = g + λ·w
    const length = 64
    const state = { weights: ordinary(length, 1), velocity: new Float32Array(length) }
    const [torch, buffer] = [Float64Array.from(state.weights), new Float64Array(length)]
    const difference = (): number => Math.max(...torch.map((w, i) => Math.abs(w - (state.weights[i] ?? 0))))
    for (const [step, rate] of [0.1, 0.1, 0.1, 0.1, 0.01].entries()) {
      const gradient = ordinary(length, 20 + step)
      Object.assign(state, run({ ...state, gradient }, 0.9, rate, 5e-4, nesterov))
      for (let i = 0; i < length; i++) {
        const d = (gradient[i] ?? 0) + 5e-4 * (torch[i] ?? 0)
        buffer[i] = 0.9 * (buffer[i] ?? 0) + d
        torch[i] = (torch[i] ?? 0) - rate * (nesterov ? d + 0.9 * (buffer[i] ?? 0) : (buffer[i] ?? 0))
      }
      if (step < 4) expect(difference()).toBeLessThan(1e-6)
      else expect(difference()).toBeGreaterThan(1e-3)
    }
  })

  it('touches nothing beside its range', () => {
    const arena = Arena.create(1 << 20)
    const offsets = Array.from({ length: 5 }, () => put(arena, new Float32Array(64).fill(3)))
    const [weights = 0, velocity = 0, gradient = 0, nextWeights = 0, nextVelocity = 0] = offsets.map((offset) => offset + 4)
    arena.update({ weights, velocity, gradient, nextWeights, nextVelocity, floats: 61, momentum: 0.5, rate: 1, decay: 0, nesterov })
    for (const offset of offsets) {
      const view = arena.view(offset, 64)
      expect([view[0], view[62], view[63]]).toEqual([3, 3, 3])
    }
    expect(arena.view(nextVelocity, 61).every((value) => value === -1.5)).toBe(true)
    expect(arena.view(nextWeights, 61).every((value) => value === (nesterov ? -0.75 : 1.5))).toBe(true)
  })
})

describe('average', () => {
  it('is float32 division, element by element, for any length and any bits, and says what is finite', () => {
    for (const length of LENGTHS) {
      for (const [make, count] of [
        [ordinary, 3],
        [patterns, 8],
        [patterns, 5],
      ] as const) {
        const arena = Arena.create(1 << 22)
        const values = make(length, 1)
        const [sum, nextStatistics] = [put(arena, values), put(arena, new Float32Array(length + 8).fill(7))]
        const finite = arena.average({ sum, nextStatistics, floats: length, count })
        const expected = values.map((value) => f(value / count))
        sameBits(arena.view(nextStatistics, length), expected)
        expect(finite).toBe(expected.every(Number.isFinite))
        expect([...arena.view(nextStatistics + 4 * length, 8)]).toEqual(Array.from({ length: 8 }, () => 7))
      }
    }
  })

  it.each([NaN, Infinity, -Infinity])('notices %f at every position', (bad) => {
    for (let at = 0; at < 11; at++) {
      const arena = Arena.create(1 << 20)
      const values = new Float32Array(11)
      values[at] = bad
      expect(arena.average({ sum: put(arena, values), nextStatistics: arena.allocate(11), floats: 11, count: 2 })).toBe(false)
    }
  })
})

describe('squares', () => {
  it('are summed in float64 in their one order, for any length and any bits', () => {
    for (const length of LENGTHS) {
      for (const make of [ordinary, patterns]) {
        const arena = Arena.create(1 << 22)
        const values = make(length, 9)
        const sums = [0, 0, 0, 0]
        values.forEach((value, i) => (sums[i % 4] = (sums[i % 4] ?? 0) + value * value))
        const [a = 0, b = 0, c = 0, d = 0] = sums
        const offset = put(arena, values)
        expect(arena.squares(offset, length)).toBe(a + b + (c + d))
        sameBits(arena.view(offset, length), values)
      }
    }
  })

  it('of none is 0, and neither the largest nor the smallest numbers are lost', () => {
    const arena = Arena.create(1 << 20)
    const offset = put(arena, Float32Array.of(2 ** 127, 2 ** -149))
    expect([arena.squares(offset, 0), arena.squares(offset, 1), arena.squares(offset + 4, 1)]).toEqual([0, 2 ** 254, 2 ** -298])
  })

  it.each([NaN, Infinity, -Infinity])('are not finite with %f at any position', (bad) => {
    for (let at = 0; at < 11; at++) {
      const arena = Arena.create(1 << 20)
      const values = new Float32Array(11)
      values[at] = bad
      expect(Number.isFinite(arena.squares(put(arena, values), 11))).toBe(false)
    }
  })
})

describe('scale', () => {
  it('is float32 multiplication in place, element by element, for any length and any bits', () => {
    for (const length of LENGTHS) {
      const arena = Arena.create(1 << 22)
      const values = patterns(length, 10)
      const offset = put(arena, new Float32Array(length + 8).fill(7))
      arena.view(offset, length).set(values)
      arena.scale(offset, length, 0.3)
      sameBits(
        arena.view(offset, length),
        values.map((value) => f(f(0.3) * value)),
      )
      expect([...arena.view(offset + 4 * length, 8)]).toEqual(Array.from({ length: 8 }, () => 7))
    }
  })
})

describe('arena', () => {
  it('aligns blocks, grows, and keeps old views valid', () => {
    const arena = Arena.create()
    const first = arena.allocate(3)
    const view = arena.view(first, 3)
    const second = arena.allocate(1_000_000)
    expect([first % 64, second % 64]).toEqual([0, 0])
    view[0] = 5
    expect(arena.view(first, 1)[0]).toBe(5)
    arena.free(first)
    expect(arena.allocate(16)).toBe(first)
  })

  it('is seen and computed on through an attached arena', () => {
    const arena = Arena.create(1 << 20)
    const [a, b] = [put(arena, Float32Array.of(1, 2)), put(arena, Float32Array.of(3, 4))]
    Arena.attach(arena.memory).add(a, a, b, 2)
    expect([...arena.view(a, 2)]).toEqual([4, 6])
  })

  it('says what to do beyond its limit, in one line', () => {
    expect(() => Arena.create(1 << 20).allocate(1 << 20)).toThrow(
      expect.objectContaining({ code: 'MEMORY', message: expect.stringMatching(/^[^\n]*run\.averager\.slices[^\n]*$/) as string }),
    )
    const arena = Arena.create()
    expect(() => arena.allocate(1 << 30)).toThrow(/4\.0 GiB/)
    expect(arena.allocate(1)).toBeGreaterThan(0)
  })
})
