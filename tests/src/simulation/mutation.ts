import { ChunkCover, type Placement } from '@lockstep/averager/chunk-cover.js'

/** Bugs planted on purpose, to see that the simulator sees them. */
export const MUTATIONS = ['acceptOldTerm', 'addOverlapping', 'commitEarly', 'dropBeforeCommit'] as const
export type Mutation = (typeof MUTATIONS)[number]

/**
 * Makes every cover add a node that lies inside a present one to the sum once more, while something runs. The real
 * class is changed and put back: the bug sits where it would sit.
 */
export function withOverlappingAdditions<Result>(run: () => Result): Result {
  const prototype = ChunkCover.prototype as ChunkCover<unknown>
  const real = { place: Reflect.get(prototype, 'place'), rise: Reflect.get(prototype, 'rise') }
  const overlapping = new WeakMap<object, unknown>()
  prototype.place = function (this: ChunkCover<unknown>, node, body): Placement<unknown> {
    const placement = real.place.call(this, node, body)
    if (placement.outcome === 'duplicate') overlapping.set(this, body)
    return placement
  }
  prototype.rise = function (this: ChunkCover<unknown>, node, add): void {
    real.rise.call(this, node, (left, right) => {
      const again = overlapping.get(this)
      overlapping.delete(this)
      return again === undefined ? add(left, right) : add(add(left, right), again)
    })
  }
  try {
    return run()
  } finally {
    prototype.place = real.place
    prototype.rise = real.rise
  }
}
