import { invariant } from '@lockstep/shared/errors/train-error.js'

/**
 * The norm of a step's whole gradient, from Σ g² of every chunk of every slice. Slices are cut at whole chunks and chunks are added in
 * their order in the vector, so that the number of slices changes no bit of it.
 */
export class GradientNorm {
  readonly #clipNorm: number
  readonly #sums: (readonly number[] | undefined)[]

  /** @param clipNorm c, the largest norm that stays as it is; @param slices how many bring sums */
  constructor(clipNorm: number, slices: number) {
    this.#clipNorm = clipNorm
    this.#sums = new Array<undefined>(slices).fill(undefined)
  }

  /**
   * Takes in a slice's sums, one a chunk, in order.
   * @returns once all slices are there, the factor for the gradient, min(1, c / ‖g‖), rounded to float32 once. Where the norm is not finite
   *   it is 1: the update then meets the element that is not, and the step ends as it does without clipping
   */
  add(slice: number, sums: readonly number[]): number | undefined {
    invariant(this.#sums[slice] === undefined, 'a slice brings its sums of squares once a step')
    this.#sums[slice] = sums
    if (this.#sums.includes(undefined)) return undefined
    let total = 0
    for (const chunks of this.#sums) for (const sum of chunks ?? []) total += sum
    const norm = Math.sqrt(total)
    return Number.isFinite(norm) ? Math.fround(Math.min(1, this.#clipNorm / norm)) : 1
  }

  /** The next step begins. */
  clear(): void {
    this.#sums.fill(undefined)
  }
}
