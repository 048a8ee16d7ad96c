import { describe, expect, it } from 'vitest'
import { sameResult } from './exactness-proof.js'

type Result = Parameters<typeof sameResult>[0]

function result(...digests: string[]): Result {
  return {
    summary: { stateDigest: digests.at(-1) ?? '' } as Result['summary'],
    digests: new Map(digests.map((digest, index) => [index + 1, digest])),
  }
}

describe('the verdict on two trainings', () => {
  it.each([
    ['the same digests at every step', result('a', 'b', 'c'), result('a', 'b', 'c'), true],
    ['the same end, another way', result('a', 'b', 'c'), result('a', 'x', 'c'), false],
    ['another end', result('a', 'b', 'c'), result('a', 'b', 'd'), false],
    ['fewer steps', result('a', 'b', 'c'), result('b', 'c'), false],
    ['weights that stood still', result('a', 'a', 'a'), result('a', 'a', 'a'), false],
  ])('%s', (_, one, other, same) => {
    expect(sameResult(one, other)).toBe(same)
  })
})
