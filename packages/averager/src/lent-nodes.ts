import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Arena } from '@lockstep/shared/kernels/arena.js'
import type { Slice } from '@lockstep/shared/parameters/layout.js'
import type { SharedBody__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/SharedBody.js'
import { mapBlock, unmapBlock, wholePages } from '@lockstep/shared/shared-memory/page-mapping.js'

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/** A worker's accumulator in our memory: the part of it that belongs to this slice. */
interface Mapped {
  readonly offset: number
  /** The streams that named it and are still open. */
  readonly owners: Set<object>
}

/**
 * Nodes that workers on this machine lend: their accumulators' pages are pages of the slice's memory too, where the kernel adds from them
 * without a copy. A mapping is kept for as long as a stream names it, since the same accumulator comes again every step, and then until no
 * step can need it.
 */
export class LentNodes {
  readonly #arena: Arena
  /** First byte of the slice in a worker's vector. */
  readonly #from: number
  readonly #bytes: number
  readonly #mapped = new Map<string, Mapped | undefined>()
  /** Pages that were mapped once. */
  readonly #free: number[] = []

  constructor(arena: Arena, slice: Slice) {
    this.#arena = arena
    this.#from = slice.offset * FLOAT_BYTES
    this.#bytes = wholePages(slice.size * FLOAT_BYTES)
  }

  /**
   * Where a body lies in the slice's memory.
   * @param owner the stream that it came on
   * @returns a byte offset, or undefined where it has to be copied
   */
  locate({ path, inode, offset, bytes }: SharedBody__Output, owner: object): number | undefined {
    const within = offset - this.#from
    if (within < 0 || within % FLOAT_BYTES !== 0 || within + bytes > this.#bytes) return undefined
    const key = `${path} ${String(inode)}`
    if (!this.#mapped.has(key)) this.#mapped.set(key, this.#map({ path, inode }))
    const mapped = this.#mapped.get(key)
    mapped?.owners.add(owner)
    return mapped && mapped.offset + within
  }

  #map(file: { readonly path: string; readonly inode: number }): Mapped | undefined {
    const offset = this.#free.pop() ?? this.#pages()
    if (offset === undefined) return undefined
    if (mapBlock(this.#arena.memory, { offset, bytes: this.#bytes }, file, this.#from, true)) return { offset, owners: new Set() }
    this.#free.push(offset)
    return undefined
  }

  #pages(): number | undefined {
    try {
      return this.#arena.allocatePages(this.#bytes)
    } catch (error) {
      if (error instanceof TrainError && error.code === 'MEMORY') return undefined // the memory's 4 GiB are used up: bodies are copied
      throw error
    }
  }

  /** A stream is over: what it named is needed for the running step at most. */
  ended(owner: object): void {
    for (const mapped of this.#mapped.values()) mapped?.owners.delete(owner)
  }

  /** No step runs: lets go of what no open stream named. */
  sweep(): void {
    for (const [key, mapped] of this.#mapped) {
      if (mapped !== undefined && mapped.owners.size > 0) continue
      this.#mapped.delete(key)
      if (mapped === undefined) continue
      unmapBlock(this.#arena.memory, { offset: mapped.offset, bytes: this.#bytes })
      this.#free.push(mapped.offset)
    }
  }
}
