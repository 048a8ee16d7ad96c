import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { isStatistic, type ParameterEntry, type ParameterLayout, type Slice } from '@lockstep/shared/parameters/layout.js'

/** Consecutive elements of a slice that are updated in one way. `offset` counts from the start of the slice. */
export interface UpdateRange {
  readonly offset: number
  readonly size: number
  /** λ, or 0 where parameters do not decay; `none` for batch statistics, of which the mean over the step is taken instead of an update. */
  readonly decay: number | 'none'
}

/** The ranges of a slice by weight decay, neighbours with the same λ joined. */
export function updateRangesOf(layout: ParameterLayout, slice: Slice, optimizer: Recipe['optimizer']): UpdateRange[] {
  const ranges: UpdateRange[] = []
  for (const entry of layout.entries) {
    const first = Math.max(entry.offset, slice.offset)
    const end = Math.min(entry.offset + entry.size, slice.offset + slice.size)
    if (first >= end) continue
    const decay = decayOf(entry.kind, optimizer)
    const last = ranges.at(-1)
    if (last?.decay === decay) ranges[ranges.length - 1] = { ...last, size: last.size + end - first }
    else ranges.push({ offset: first - slice.offset, size: end - first, decay })
  }
  return ranges
}

function decayOf(kind: ParameterEntry['kind'], { decayOn, weightDecay }: Recipe['optimizer']): UpdateRange['decay'] {
  if (isStatistic(kind)) return 'none'
  return decayOn === 'all' || kind === 'kernel' ? weightDecay : 0
}

/** The parts of those ranges inside [first, first + count). Offsets count from the start of the slice. */
export function* cutRanges(ranges: readonly UpdateRange[], first: number, count: number): Generator<UpdateRange> {
  for (const range of ranges) {
    const from = Math.max(range.offset, first)
    const to = Math.min(range.offset + range.size, first + count)
    if (from < to) yield { ...range, offset: from, size: to - from }
  }
}

/** How many of the elements [first, first + count) are parameters: they stand first, and batch statistics, which have no gradient, after them. */
export function parametersWithin(ranges: readonly UpdateRange[], first: number, count: number): number {
  let end = first
  for (const { offset, size, decay } of cutRanges(ranges, first, count)) {
    if (decay === 'none') continue
    invariant(offset === end, 'batch statistics stand after all parameters')
    end = offset + size
  }
  return end - first
}
