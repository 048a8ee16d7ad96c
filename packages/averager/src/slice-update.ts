import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { ParameterLayout, Slice } from '@lockstep/shared/parameters/layout.js'

/** Consecutive elements of a slice with one weight decay. `offset` counts from the start of the slice. */
export interface DecayRange {
  readonly offset: number
  readonly size: number
  /** λ, or 0 where parameters do not decay. */
  readonly decay: number
}

/** The ranges of a slice by weight decay, neighbours with the same λ joined. */
export function decayRangesOf(layout: ParameterLayout, slice: Slice, optimizer: Recipe['optimizer']): DecayRange[] {
  const ranges: DecayRange[] = []
  for (const entry of layout.entries) {
    const first = Math.max(entry.offset, slice.offset)
    const end = Math.min(entry.offset + entry.size, slice.offset + slice.size)
    if (first >= end) continue
    const decay = optimizer.decayOn === 'all' || entry.kind === 'kernel' ? optimizer.weightDecay : 0
    const last = ranges.at(-1)
    if (last?.decay === decay) ranges[ranges.length - 1] = { ...last, size: last.size + end - first }
    else ranges.push({ offset: first - slice.offset, size: end - first, decay })
  }
  return ranges
}

/** The parts of those ranges inside [first, first + count). Offsets count from the start of the slice. */
export function* cutRanges(ranges: readonly DecayRange[], first: number, count: number): Generator<DecayRange> {
  for (const range of ranges) {
    const from = Math.max(range.offset, first)
    const to = Math.min(range.offset + range.size, first + count)
    if (from < to) yield { offset: from, size: to - from, decay: range.decay }
  }
}
