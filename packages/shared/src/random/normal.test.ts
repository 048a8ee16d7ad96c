import { describe, expect, it } from 'vitest'
import { normalPair, uniformOf } from './normal.js'
import { philox } from './philox.js'

function normals(count: number): Float64Array {
  const numbers = new Float64Array(count)
  const words = new Uint32Array(4)
  for (let index = 0; index < count; index += 4) {
    philox(index, 0, 0, 0, 7, 99, words)
    const [a = 0, b = 0, c = 0, d = 0] = words
    normalPair(a, b, numbers, index)
    normalPair(c, d, numbers, index + 2)
  }
  return numbers
}

const moment = (numbers: Float64Array, power: number): number => numbers.reduce((sum, number) => sum + number ** power, 0) / numbers.length

describe('normalPair', () => {
  const count = 400_000
  const numbers = normals(count)

  it.each([
    [1, 0],
    [2, 1],
    [3, 0],
    [4, 3],
  ])('has moment %i near %f', (power, expected) => {
    // Five standard errors of the moment: Var(z^k) = E z^2k − (E z^k)², with E z^2, 4, 6, 8 = 1, 3, 15, 105.
    const even = [1, 3, 15, 105][power - 1] ?? 0
    const tolerance = 5 * Math.sqrt((even - expected ** 2) / count)
    expect(Math.abs(moment(numbers, power) - expected)).toBeLessThan(tolerance)
  })

  it('has no correlation between the two numbers of a pair', () => {
    let sum = 0
    for (let index = 0; index < count; index += 2) sum += (numbers[index] ?? 0) * (numbers[index + 1] ?? 0)
    expect(Math.abs(sum / (count / 2))).toBeLessThan(5 / Math.sqrt(count / 2))
  })

  it.each([
    [1, 0.31731],
    [2, 0.0455],
    [3, 0.0026998],
    [4, 0.00006334],
  ])('leaves ±%i with the share %f of a normal distribution', (bound, share) => {
    const beyond = numbers.filter((number) => Math.abs(number) > bound).length / count
    expect(Math.abs(beyond - share)).toBeLessThan(5 * Math.sqrt(share / count))
  })

  it('is finite and bounded for the extreme words', () => {
    const out = new Float64Array(2)
    for (const first of [0, 1, 0xffffffff]) {
      for (const second of [0, 0x3fffffff, 0x7fffffff, 0xffffffff]) {
        normalPair(first, second, out)
        for (const number of out) expect(Math.abs(number)).toBeLessThan(6.8)
      }
    }
    expect(uniformOf(0)).toBeGreaterThan(0)
    expect(uniformOf(0xffffffff)).toBeLessThan(1)
  })

  it('gives the same bits for the same words', () => {
    const out = new Float64Array(4)
    normalPair(0x12345678, 0x9abcdef0, out)
    normalPair(0x12345678, 0x9abcdef0, out, 2)
    const bits = new BigUint64Array(out.buffer)
    expect([bits[0], bits[1]]).toEqual([bits[2], bits[3]])
    // The bits themselves, so that a Node with other bits of log, sin or cos is noticed.
    expect([out[0], out[1]]).toEqual([-1.8217534546447058, -1.4029389548741233])
  })
})
