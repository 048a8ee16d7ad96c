import { readFileSync } from 'node:fs'
import { invariant, TrainError } from '../errors/train-error.js'
import { FreeList } from './free-list.js'
import { wasm, type WasmMemory, type WasmModule } from './web-assembly.js'

/** A page of WebAssembly memory. */
const PAGE_BYTES = 65_536
/** The whole address space of wasm32: 4 GiB. */
const WASM32_BYTES = 65_536 * PAGE_BYTES
/** A cache line, and a multiple of every SIMD width in use. */
const ALIGNMENT_BYTES = 64
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/** What one call of the averaging kernel reads and writes. Byte offsets into the arena; ranges of `floats` elements. */
export interface AverageRange {
  readonly sum: number
  readonly nextStatistics: number
  readonly floats: number
  /** Micro-batches in the sum: a whole number below 2^24, which float32 holds. */
  readonly count: number
}

/** What one call of the update kernel reads and writes. Byte offsets into the arena; ranges of `floats` elements. */
export interface UpdateRange {
  readonly weights: number
  readonly velocity: number
  readonly gradient: number
  readonly nextWeights: number
  readonly nextVelocity: number
  readonly floats: number
  /** μ, rounded to float32 once. */
  readonly momentum: number
  /** ε, rounded to float32 once. */
  readonly rate: number
  /** λ, rounded to float32 once; 0 for parameters that do not decay. */
  readonly decay: number
  /** Nesterov's momentum instead of the classical one. */
  readonly nesterov: boolean
}

type UpdateKernel = (
  weights: number,
  velocity: number,
  gradient: number,
  nextWeights: number,
  nextVelocity: number,
  floats: number,
  momentum: number,
  rate: number,
  decay: number,
) => number

interface Kernels {
  add(destination: number, left: number, right: number, floats: number): void
  readonly update: UpdateKernel
  readonly updateNesterov: UpdateKernel
  average(sum: number, nextStatistics: number, floats: number, count: number): number
  squares(values: number, floats: number): number
  scale(values: number, floats: number, factor: number): void
  narrow(destination: number, values: number, floats: number): void
  narrowWithFeedback(destination: number, values: number, residual: number, nextResidual: number, floats: number): void
  widen(destination: number, source: number, floats: number): void
}

/** Rounding to bfloat16. Byte offsets into the arena; ranges of `floats` elements, of 2 bytes at `destination` and 4 elsewhere. */
export interface NarrowRange {
  readonly values: number
  /** May be where the values are. */
  readonly destination: number
  readonly floats: number
  /** What rounding took away before is added, what it takes away now is kept; `next` may be `residual`. Left out: plain rounding. */
  readonly feedback?: { readonly residual: number; readonly next: number }
}

/** Bytes of an element that travels as bfloat16. */
export const NARROW_BYTES = 2

let compiled: WasmModule | undefined

/** Compiled once a thread. */
function kernelsModule(): WasmModule {
  if (compiled === undefined) {
    const file = new URL('kernels.wasm', import.meta.url)
    try {
      compiled = new wasm.Module(readFileSync(file))
    } catch (error) {
      throw new TrainError(
        'INTERNAL',
        `the arithmetic kernels ${file.pathname} cannot be loaded; build the project again with \`npm run build\``,
        { cause: error },
      )
    }
  }
  return compiled
}

function memoryError(bytes: number, limit: number, cause?: unknown): TrainError {
  const message =
    limit < bytes
      ? `${gib(bytes)} GiB for one averager slice or worker exceed the ${gib(limit)} GiB that one WebAssembly memory holds; raise run.averager.slices in the recipe`
      : `the system did not give ${gib(bytes)} GiB of memory; free some, choose a narrower network, or raise run.averager.slices in the recipe`
  return new TrainError('MEMORY', message, { cause })
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}

/**
 * A shared WebAssembly memory with the exact arithmetic over it. Every float32 addition of the reduction tree and every
 * update goes through here, on workers and averager alike: TensorFlow flushes denormals to zero and this does not.
 * All positions are byte offsets. Several threads may attach to one memory; only the creator allocates.
 */
export class Arena {
  readonly memory: WasmMemory
  readonly #kernels: Kernels
  readonly #blocks: FreeList | undefined
  readonly #maximumBytes: number

  private constructor(memory: WasmMemory, blocks: FreeList | undefined, maximumBytes: number) {
    this.memory = memory
    this.#blocks = blocks
    this.#maximumBytes = maximumBytes
    const instance = new wasm.Instance(kernelsModule(), { env: { memory } })
    this.#kernels = instance.exports as unknown as Kernels
  }

  /**
   * A new memory that grows as needed. Address space for all of it is reserved at once, pages are taken when touched.
   * @param maximumBytes where growth ends; at most the 4 GiB of wasm32
   * @throws TrainError MEMORY if the system refuses the address space
   */
  static create(maximumBytes = WASM32_BYTES): Arena {
    const limit = Math.min(WASM32_BYTES, Math.max(2 * PAGE_BYTES, Math.ceil(maximumBytes / PAGE_BYTES) * PAGE_BYTES))
    try {
      const memory = new wasm.Memory({ initial: 1, maximum: limit / PAGE_BYTES, shared: true })
      // page 0 belongs to the module, so that offset 0 is never a block
      return new Arena(memory, new FreeList(PAGE_BYTES), limit)
    } catch (error) {
      throw error instanceof RangeError ? memoryError(limit, limit, error) : error
    }
  }

  /** The arena of another thread, through its memory. It computes and looks, and does not allocate. */
  static attach(memory: WasmMemory): Arena {
    return new Arena(memory, undefined, memory.buffer.byteLength)
  }

  /**
   * Takes a block. Its contents are what was there before: zero where the memory is fresh.
   * @param floats elements, at least 1
   * @returns its byte offset, a multiple of 64
   * @throws TrainError MEMORY
   */
  allocate(floats: number): number {
    invariant(this.#blocks !== undefined, 'only the creator of an arena allocates')
    const bytes = Math.ceil((floats * FLOAT_BYTES) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    const needed = this.#blocks.find(bytes) + bytes
    if (needed > this.#maximumBytes) throw memoryError(needed, this.#maximumBytes)
    const missing = needed - this.memory.buffer.byteLength
    if (missing > 0) {
      try {
        this.memory.grow(Math.ceil(missing / PAGE_BYTES))
      } catch (error) {
        throw memoryError(needed, this.#maximumBytes, error)
      }
    }
    return this.#blocks.take(bytes)
  }

  /**
   * Takes whole pages, to be shared with other processes. They are never given back.
   * @param bytes a multiple of {@link PAGE_BYTES}, as the byte offset it returns is
   * @throws TrainError MEMORY
   */
  allocatePages(bytes: number): number {
    invariant(bytes % PAGE_BYTES === 0, 'pages are taken whole')
    return Math.ceil(this.allocate((bytes + PAGE_BYTES) / FLOAT_BYTES) / PAGE_BYTES) * PAGE_BYTES
  }

  /** Gives a block back. */
  free(offset: number): void {
    invariant(this.#blocks !== undefined, 'only the creator of an arena frees')
    this.#blocks.give(offset)
  }

  /** The elements at a byte offset, in place. It stays valid when the memory grows. */
  view(offset: number, floats: number): Float32Array {
    return new Float32Array(this.memory.buffer, offset, floats)
  }

  /** The same elements as little-endian bytes, in place. */
  bytes(offset: number, floats: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, offset, floats * FLOAT_BYTES)
  }

  /** destination ← left + right in float32, element by element. Byte offsets; `destination` may be `left` or `right`. */
  add(destination: number, left: number, right: number, floats: number): void {
    this.#kernels.add(destination, left, right, floats)
  }

  /**
   * One SGD update, v' ← μ·v − ε·(g + λ·w), w' ← w + v' (Krizhevsky 2012, section 5), every operation rounded to float32
   * in this order, without fused multiply-add. Where λ is 0 the formula is the same with λ = 0. With `nesterov` the weights go one
   * momentum further, w' ← w + (μ·v' − ε·(g + λ·w)) (Sutskever et al. 2013, in the variables that Keras and PyTorch use too).
   * @returns whether all of w' is finite, and so all of v'
   */
  update(range: UpdateRange): boolean {
    const { weights, velocity, gradient, nextWeights, nextVelocity, floats, momentum, rate, decay, nesterov } = range
    const update = nesterov ? this.#kernels.updateNesterov : this.#kernels.update
    return update(weights, velocity, gradient, nextWeights, nextVelocity, floats, momentum, rate, decay) === 1
  }

  /**
   * New batch statistics: the sum over a step's micro-batches divided by their number, in float32.
   * @returns whether all of them are finite
   */
  average({ sum, nextStatistics, floats, count }: AverageRange): boolean {
    return this.#kernels.average(sum, nextStatistics, floats, count) === 1
  }

  /**
   * Σ x² in float64, where the square of a float32 is exact; its order is fixed: element i goes into sum i mod 4, and the four are
   * added as (0 + 1) + (2 + 3). NaN or infinite exactly where an element is.
   */
  squares(offset: number, floats: number): number {
    return this.#kernels.squares(offset, floats)
  }

  /** x ← factor · x in place, in float32. @param factor rounded to float32 once */
  scale(offset: number, floats: number, factor: number): void {
    this.#kernels.scale(offset, floats, factor)
  }

  /** `floats` bfloat16 elements at a byte offset, as little-endian bytes in place. */
  halves(offset: number, floats: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, offset, floats * NARROW_BYTES)
  }

  /** float32 to bfloat16, to nearest-even; NaN and infinity stay what they are. Where the result is not finite no residual is kept. */
  narrow({ values, destination, floats, feedback }: NarrowRange): void {
    if (feedback === undefined) this.#kernels.narrow(destination, values, floats)
    else this.#kernels.narrowWithFeedback(destination, values, feedback.residual, feedback.next, floats)
  }

  /** bfloat16 to float32, exactly. @param source byte offset; may be the last half of the destination */
  widen(destination: number, source: number, floats: number): void {
    this.#kernels.widen(destination, source, floats)
  }
}
