import { invariant } from '../errors/train-error.js'

/** A free range of bytes: [offset, offset + bytes). */
interface FreeRange {
  offset: number
  bytes: number
}

/**
 * Which bytes of a memory are taken: first fit over a sorted list, neighbours joined again when freed. Made for a few
 * large blocks; it owns no memory and touches none.
 */
export class FreeList {
  readonly #free: FreeRange[] = []
  readonly #taken = new Map<number, number>()
  #end: number

  /** @param start first byte it may give away */
  constructor(start: number) {
    this.#end = start
  }

  /** One past the last byte that is known: what the memory must hold at least. */
  get end(): number {
    return this.#end
  }

  /** Where a block of `bytes` would start. Takes nothing. */
  find(bytes: number): number {
    const fit = this.#free.find((range) => range.bytes >= bytes)
    if (fit !== undefined) return fit.offset
    const last = this.#free.at(-1)
    return last !== undefined && last.offset + last.bytes === this.#end ? last.offset : this.#end
  }

  /** Takes a block at the place `find` names and returns its offset. */
  take(bytes: number): number {
    invariant(bytes > 0, 'a block of memory has at least one byte')
    const offset = this.find(bytes)
    this.#end = Math.max(this.#end, offset + bytes)
    const at = this.#free.findIndex((range) => range.offset === offset)
    const range = this.#free[at]
    if (range !== undefined) {
      const rest = range.bytes - bytes
      if (rest > 0) this.#free[at] = { offset: offset + bytes, bytes: rest }
      else this.#free.splice(at, 1)
    }
    this.#taken.set(offset, bytes)
    return offset
  }

  /** Gives a block back. */
  give(offset: number): void {
    const bytes = this.#taken.get(offset)
    invariant(bytes !== undefined, 'only a taken block of memory is freed, and once')
    this.#taken.delete(offset)
    const found = this.#free.findIndex((range) => range.offset > offset)
    const at = found === -1 ? this.#free.length : found
    this.#free.splice(at, 0, { offset, bytes })
    this.#join(at)
    this.#join(at - 1)
  }

  /** Joins the free range at `index` with the next one where they touch. */
  #join(index: number): void {
    const range = this.#free[index]
    const next = this.#free[index + 1]
    if (range === undefined || next?.offset !== range.offset + range.bytes) return
    range.bytes += next.bytes
    this.#free.splice(index + 1, 1)
  }
}
