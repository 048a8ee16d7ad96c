import { describe, expect, it } from 'vitest'
import { identity, RandomWords } from './random-words.js'

describe('RandomWords', () => {
  const of = (...words: number[]): RandomWords =>
    new RandomWords((draw, out) => {
      out.set(words.slice(draw * 4, draw * 4 + 4))
    })

  it('throws away the words that would favour small numbers', () => {
    // 2^32 mod 3 = 1: the largest word alone has no full triple.
    expect(of(0xffffffff, 0xffffffff, 5, 0).below(3)).toBe(2)
    expect(of(0xfffffffe, 0, 0, 0).below(3)).toBe(0xfffffffe % 3)
    expect(of(0xffffffff, 0, 0, 0).below(2 ** 32)).toBe(0xffffffff)
    expect(of(0xffffffff, 0, 0, 0).below(1)).toBe(0)
  })

  it('goes on into the next block', () => {
    const words = of(1, 2, 3, 4, 5, 6, 7, 8)
    expect([1, 2, 3, 4, 5, 6].map(() => words.next())).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('shuffles from the last element down', () => {
    expect([...of(0, 0, 0, 0).shuffle(identity(4))]).toEqual([1, 2, 3, 0])
  })
})
