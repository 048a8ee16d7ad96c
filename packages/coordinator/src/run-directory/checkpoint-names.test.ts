import { describe, expect, it } from 'vitest'
import { checkpointName, stepOfName, superfluous } from './checkpoint-names.js'

describe('checkpoint names', () => {
  it.each([0, 1, 123, 99_999_999, 100_000_000, 12_345_678_901])('%i there and back', (step) => {
    expect(stepOfName(checkpointName(step))).toBe(step)
  })

  it('looks as documented', () => {
    expect(checkpointName(123)).toBe('step-00000123.safetensors')
  })

  it.each([
    'best.safetensors',
    'step-123.safetensors',
    'step-00000123.safetensors.partial',
    '.step-00000123.safetensors.partial-ab',
    'step-0000012x.safetensors',
    '',
  ])('%j is none', (name) => {
    expect(stepOfName(name)).toBeUndefined()
  })
})

describe('superfluous', () => {
  it.each([
    [[10, 40, 20, 30], 2, [], [20, 10]],
    [[10, 40, 20, 30], 2, [10], [20]],
    [[10, 40, 20, 30], 9, [], []],
    [[10, 40], 0, [], [10]],
    [[], 3, [5], []],
  ])('of %j keeping %i and %j: %j', (steps, count, spared, gone) => {
    expect(superfluous(steps, count, new Set(spared))).toEqual(gone)
  })
})
