import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Arena } from '@lockstep/shared/kernels/arena.js'

/** What goes up the tree besides gradients, only with chunk 0 of slice 0. */
export interface NodeStatistics {
  /** float64 sum over the samples, not divided by B */
  readonly lossSum: number
  readonly samples: number
  readonly correctTop1: number
  readonly correctTop5: number
  /** 1 + index of the first layer whose output is not finite, in the first leaf where that is so; 0 or left out: the loss is finite */
  readonly nonFiniteLayer?: number
}

/** One chunk of a partial gradient: as it came (`wire`), as a sum in the arena (`block`), or used up (`done`). */
export type Partial =
  | { readonly type: 'wire'; readonly bytes: Uint8Array; readonly statistics: NodeStatistics | undefined }
  | { readonly type: 'block'; readonly offset: number; readonly statistics: NodeStatistics | undefined }
  | { readonly type: 'done' }

/** Chunks whose gradient has become an update. */
export const DONE: Partial = { type: 'done' }

/**
 * Adds chunks of partial gradients by the one kernel. What arrives stays in the buffer it came in until its sibling is
 * there too; sums live in blocks of the arena that are used again, so that a step makes no garbage of its own.
 */
export class PartialGradients {
  readonly #arena: Arena
  readonly #blockFloats: number
  readonly #free: number[] = []
  readonly #scratch: readonly [number, number]

  /** @param blockFloats elements of the longest chunk */
  constructor(arena: Arena, blockFloats: number) {
    this.#arena = arena
    this.#blockFloats = blockFloats
    this.#scratch = [arena.allocate(blockFloats), arena.allocate(blockFloats)]
  }

  /** left + right. Both are used up. */
  add(left: Partial, right: Partial, floats: number): Partial {
    const statistics = addStatistics(left, right)
    const leftAt = this.locate(left, floats, 0)
    const rightAt = this.locate(right, floats, 1)
    const reused = left.type === 'block' ? left.offset : right.type === 'block' ? right.offset : undefined
    const offset = reused ?? this.#take()
    if (offset === undefined) {
      // the memory's 4 GiB are used up: the sum waits outside
      this.#arena.add(leftAt, leftAt, rightAt, floats)
      return { type: 'wire', bytes: Buffer.from(this.#arena.bytes(leftAt, floats)), statistics }
    }
    this.#arena.add(offset, leftAt, rightAt, floats)
    if (left.type === 'block' && right.type === 'block') this.release(right)
    return { type: 'block', offset, statistics }
  }

  /**
   * The byte offset in the arena to read a chunk from: its block, or a scratch block into which it is copied.
   * @param scratch which scratch block
   */
  locate(partial: Partial, floats: number, scratch: 0 | 1): number {
    if (partial.type === 'block') return partial.offset
    const offset = this.#scratch[scratch]
    if (partial.type === 'wire') this.#arena.bytes(offset, floats).set(partial.bytes)
    return offset
  }

  /** Lets go of a chunk. */
  release(partial: Partial): void {
    if (partial.type === 'block') this.#free.push(partial.offset)
  }

  #take(): number | undefined {
    const free = this.#free.pop()
    if (free !== undefined) return free
    try {
      return this.#arena.allocate(this.#blockFloats)
    } catch (error) {
      if (error instanceof TrainError && error.code === 'MEMORY') return undefined
      throw error
    }
  }
}

function addStatistics(left: Partial, right: Partial): NodeStatistics | undefined {
  if (left.type === 'done' || right.type === 'done' || left.statistics === undefined || right.statistics === undefined) return undefined
  const [l, r] = [left.statistics, right.statistics]
  return {
    lossSum: l.lossSum + r.lossSum,
    samples: l.samples + r.samples,
    correctTop1: l.correctTop1 + r.correctTop1,
    correctTop5: l.correctTop5 + r.correctTop5,
    ...firstOf(l.nonFiniteLayer, r.nonFiniteLayer),
  }
}

/** Where the left one says that a loss is not finite, or else the right one; nothing while both are. */
function firstOf(left = 0, right = 0): { nonFiniteLayer?: number } {
  const layer = left > 0 ? left : right
  return layer > 0 ? { nonFiniteLayer: layer } : {}
}
