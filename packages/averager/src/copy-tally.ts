import { createHash } from 'node:crypto'
import type { LeafCopy } from './leaf-copies.js'

/** Puts the copies of audited leaves together that the slices tell of, part by part. */
export class CopyTally {
  readonly #slices: number
  readonly #parts = new Map<string, (LeafCopy | undefined)[]>()

  constructor(slices: number) {
    this.#slices = slices
  }

  /** One more slice has this copy. @returns the copy over all slices, once it is whole */
  add(copy: LeafCopy, slice: number): LeafCopy | undefined {
    if (this.#slices === 1) return copy
    const key = copy.counted ? `${String(copy.leaf)} counted` : `${String(copy.leaf)} from ${String(copy.from[0])}`
    const parts = this.#parts.get(key) ?? new Array<LeafCopy | undefined>(this.#slices).fill(undefined)
    this.#parts.set(key, parts)
    parts[slice] = copy
    const there = parts.filter((part) => part !== undefined)
    if (there.length < this.#slices) return undefined
    const hash = createHash('sha256')
    for (const { digest } of there) hash.update(digest)
    const { leaf, counted } = copy
    return { leaf, counted, from: [...new Set(there.flatMap(({ from }) => from))], digest: hash.digest('hex') }
  }

  /** A new step, or the same one once more. */
  clear(): void {
    this.#parts.clear()
  }
}
