import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { NARROW_BYTES, type Arena } from '@lockstep/shared/kernels/arena.js'
import { copyBytes, copyOf } from '@lockstep/shared/shared-memory/native-memory.js'
import { addStatistics, type NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'

interface WirePartial {
  readonly type: 'wire'
  readonly bytes: Uint8Array
  readonly statistics: NodeStatistics | undefined
  /** In bfloat16. */
  readonly narrow?: boolean
  /** Called when the bytes are read no more; once more does nothing. */
  readonly release?: (() => void) | undefined
}

/**
 * One chunk of a partial gradient: as it came (`wire`), where its worker has it (`lent`, mapped into the arena and
 * never written to), as a sum in the arena (`block`), or used up (`done`).
 */
export type Partial =
  | WirePartial
  | { readonly type: 'lent'; readonly offset: number; readonly statistics: NodeStatistics | undefined }
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
    const statistics = sumOfStatistics(left, right)
    const leftAt = this.locate(left, floats, 0)
    const rightAt = this.locate(right, floats, 1)
    const reused = left.type === 'block' ? left.offset : right.type === 'block' ? right.offset : undefined
    const offset = reused ?? this.#take()
    for (const side of [left, right]) if (side.type === 'wire') side.release?.()
    if (offset === undefined) {
      // the memory's 4 GiB are used up: the sum waits outside
      const sumAt = left.type === 'lent' ? this.#scratch[0] : leftAt
      this.#arena.add(sumAt, leftAt, rightAt, floats)
      return { type: 'wire', bytes: copyOf(this.#arena.bytes(sumAt, floats)), statistics }
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
    if (partial.type === 'block' || partial.type === 'lent') return partial.offset
    const offset = this.#scratch[scratch]
    if (partial.type !== 'wire') return offset
    if (partial.narrow === true) {
      const source = offset + floats * NARROW_BYTES
      copyBytes(this.#arena.halves(source, floats), partial.bytes)
      this.#arena.widen(offset, source, floats)
    } else copyBytes(this.#arena.bytes(offset, floats), partial.bytes)
    return offset
  }

  /** Lets go of a chunk. */
  release(partial: Partial): void {
    if (partial.type === 'block') this.#free.push(partial.offset)
    else if (partial.type === 'wire') partial.release?.()
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

/** Only chunk 0 of slice 0 brings statistics. */
function sumOfStatistics(left: Partial, right: Partial): NodeStatistics | undefined {
  if (left.type === 'done' || right.type === 'done' || left.statistics === undefined || right.statistics === undefined) return undefined
  return addStatistics(left.statistics, right.statistics)
}
