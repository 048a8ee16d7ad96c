import type { LeafRange } from '@lockstep/shared/reduction/tree.js'

/**
 * Counts, leaf by leaf, in how many parts it is covered, and tells which leaves have just been covered in all of them.
 * The parts are the chunks of a slice, or the slices of a step.
 */
export class LeafTally {
  readonly #parts: number
  readonly #covered: Uint32Array

  constructor(leaves: number, parts: number) {
    this.#parts = parts
    this.#covered = new Uint32Array(leaves)
  }

  /** One more part has these leaves. @returns the ranges that are now in every part, each leaf once a step */
  add(range: LeafRange): LeafRange[] {
    const complete: LeafRange[] = []
    let run = 0
    for (let leaf = range.first; leaf <= range.first + range.count; leaf++) {
      if (leaf < range.first + range.count && this.#count(leaf) === this.#parts) {
        run++
        continue
      }
      if (run > 0) complete.push({ first: leaf - run, count: run })
      run = 0
    }
    return complete
  }

  #count(leaf: number): number {
    const now = (this.#covered[leaf] ?? 0) + 1
    this.#covered[leaf] = now
    return now
  }

  /** A new step, or the same one once more. */
  clear(): void {
    this.#covered.fill(0)
  }
}
