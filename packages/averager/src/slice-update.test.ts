import { describe, expect, it } from 'vitest'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { cutRanges, parametersWithin, updateRangesOf } from './slice-update.js'

const entry = (name: string, offset: number, size: number, kind: 'kernel' | 'bias'): ParameterLayout['entries'][number] => ({
  name,
  shape: [size],
  offset,
  size,
  kind,
})
const layout: ParameterLayout = {
  size: 45,
  entries: [
    entry('a/kernel', 0, 10, 'kernel'),
    entry('a/bias', 10, 2, 'bias'),
    entry('b/kernel', 12, 20, 'kernel'),
    entry('b/bias', 32, 3, 'bias'),
    entry('c/kernel', 35, 10, 'kernel'),
  ],
}
const optimizer = { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0.5, decayOn: 'kernels' } as const
const slice = { index: 1, offset: 5, size: 35 }

describe('weight decay ranges', () => {
  it('decays kernels only, offsets counted from the slice', () => {
    expect(updateRangesOf(layout, slice, optimizer)).toEqual([
      { offset: 0, size: 5, decay: 0.5 },
      { offset: 5, size: 2, decay: 0 },
      { offset: 7, size: 20, decay: 0.5 },
      { offset: 27, size: 3, decay: 0 },
      { offset: 30, size: 5, decay: 0.5 },
    ])
  })

  it('leaves batch statistics to their mean, whatever decays', () => {
    const entries = [...layout.entries.slice(0, 2), { ...entry('a/moving_mean', 12, 3, 'bias'), kind: 'movingMean' as const }]
    for (const decayOn of ['kernels', 'all'] as const) {
      const ranges = updateRangesOf({ entries, size: 15 }, { index: 0, offset: 0, size: 15 }, { ...optimizer, decayOn })
      expect(ranges.at(-1)).toEqual({ offset: 12, size: 3, decay: 'none' })
      expect(ranges.slice(0, -1).every(({ decay }) => decay !== 'none')).toBe(true)
    }
  })

  it('is one range where all decay', () => {
    expect(updateRangesOf(layout, slice, { ...optimizer, decayOn: 'all' })).toEqual([{ offset: 0, size: 35, decay: 0.5 }])
    expect(updateRangesOf(layout, slice, { ...optimizer, weightDecay: 0 })).toEqual([{ offset: 0, size: 35, decay: 0 }])
  })

  it('cuts to a chunk without gap or overlap', () => {
    const ranges = updateRangesOf(layout, slice, optimizer)
    expect([...cutRanges(ranges, 6, 2)]).toEqual([
      { offset: 6, size: 1, decay: 0 },
      { offset: 7, size: 1, decay: 0.5 },
    ])
    for (let first = 0; first < 35; first += 8) {
      let at = first
      for (const range of cutRanges(ranges, first, Math.min(8, 35 - first))) {
        expect(range.offset).toBe(at)
        at += range.size
      }
      expect(at).toBe(Math.min(first + 8, 35))
    }
  })
})

describe('parameters within a chunk', () => {
  const ranges = [
    { offset: 0, size: 5, decay: 0.5 },
    { offset: 5, size: 2, decay: 0 },
    { offset: 7, size: 3, decay: 'none' },
  ] as const

  it.each([
    [0, 4, 4],
    [4, 4, 3],
    [6, 4, 1],
    [7, 3, 0],
    [0, 10, 7],
  ])('from %i, %i elements: %i', (first, count, parameters) => {
    expect(parametersWithin(ranges, first, count)).toBe(parameters)
  })
})
