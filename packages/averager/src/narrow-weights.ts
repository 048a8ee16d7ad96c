import { NARROW_BYTES, type Arena } from '@lockstep/shared/kernels/arena.js'
import type { Side } from './version-buffers.js'

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/**
 * The weights of a slice's two versions as they are handed out where the exchange is in bfloat16, and what rounding took away so far.
 * A version is rounded once, so that every worker gets the same; the residual has two sides like the version, since a
 * provisional one may be dropped.
 */
export class NarrowWeights {
  readonly #arena: Arena
  readonly #floats: number
  readonly #bodies: readonly [number, number]
  readonly #residuals: readonly [number, number]

  /** @param floats elements of the slice. @throws TrainError MEMORY */
  constructor(arena: Arena, floats: number) {
    this.#arena = arena
    this.#floats = floats
    const half = Math.ceil(floats / 2)
    this.#bodies = [arena.allocate(half), arena.allocate(half)]
    this.#residuals = [arena.allocate(floats), arena.allocate(floats)]
    for (const residual of this.#residuals) arena.view(residual, floats).fill(0)
  }

  /**
   * Rounds a range of a new version.
   * @param to its side; the residual of the other side is added @param weights byte offset of the slice's weights on that side
   * @param feedback false: plain rounding, for batch statistics, of which a variance must not fall below 0
   */
  renew(to: Side, weights: number, { offset, size }: { readonly offset: number; readonly size: number }, feedback: boolean): void {
    const [from, next] = to === 0 ? [this.#residuals[1], this.#residuals[0]] : [this.#residuals[0], this.#residuals[1]]
    const at = offset * FLOAT_BYTES
    this.#arena.narrow({
      ...{ values: weights + at, destination: this.#bodies[to] + offset * NARROW_BYTES, floats: size },
      ...(feedback ? { feedback: { residual: from + at, next: next + at } } : {}),
    })
  }

  /** A version is the one before once more. */
  copy(from: Side, to: Side): void {
    this.#arena.halves(this.#bodies[to], this.#floats).set(this.#arena.halves(this.#bodies[from], this.#floats))
    this.#arena.bytes(this.#residuals[to], this.#floats).set(this.#arena.bytes(this.#residuals[from], this.#floats))
  }

  /** Elements [start, start + floats) of a version, 2 bytes each, in place. */
  body(side: Side, start: number, floats: number): Buffer {
    return Buffer.from(this.#arena.memory.buffer, this.#bodies[side] + start * NARROW_BYTES, floats * NARROW_BYTES)
  }
}
