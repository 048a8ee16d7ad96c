import { SliceState, type SliceListener, type SliceOptions } from '@lockstep/averager/slice-state.js'
import { sideOf } from '@lockstep/averager/version-buffers.js'
import type { Arena, UpdateRange } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'
import { sumOf, type GradientTree } from './gradient-tree.js'
import { updatedChunk } from './undisturbed.js'
import { Violation } from './violation.js'

const CHUNK_BYTES = CHUNK_FLOATS * 4

/** A contribution's body: as long as the real one, with an expression in the place of the floats. */
export class SymbolicBody {
  constructor(
    readonly length: number,
    /** Chunk of the whole vector. */
    readonly chunk: number,
    readonly tree: GradientTree,
  ) {}
}

/** A place in the memory: a contribution can be copied to it, and the state of another place. */
export class SymbolicBytes {
  constructor(
    readonly offset: number,
    readonly set: (source: SymbolicBody | SymbolicBytes) => void,
  ) {}
}

/** A memory of expressions instead of floats, with the calls of the arena that a slice makes. */
export class SymbolicArena {
  /** Digests of chunks of weights and velocity, by the byte offset at which they begin. */
  readonly state = new Map<number, number>()
  readonly #gradients = new Map<number, { chunk: number; tree: GradientTree }>()
  #end = 64

  /**
   * @param onUpdate told when a sum is about to become an update: the one place where gradients become weights; it says
   *   whether what comes out is finite
   */
  constructor(private readonly onUpdate: (chunk: number, tree: GradientTree, update: UpdateRange) => boolean) {}

  allocate(floats: number): number {
    const offset = this.#end
    this.#end += Math.ceil((floats * 4) / 64) * 64
    return offset
  }

  bytes(offset: number, floats: number): SymbolicBytes {
    return new SymbolicBytes(offset, (source) => {
      if (source instanceof SymbolicBody) this.#gradients.set(offset, { chunk: source.chunk, tree: source.tree })
      else for (let at = 0; at < floats * 4; at += CHUNK_BYTES) this.state.set(offset + at, this.stateAt(source.offset + at))
    })
  }

  add(destination: number, left: number, right: number): void {
    const [a, b] = [this.#gradient(left), this.#gradient(right)]
    if (a.chunk !== b.chunk) throw new Violation('sum', `chunk ${String(a.chunk)} is added to chunk ${String(b.chunk)}`)
    this.#gradients.set(destination, { chunk: a.chunk, tree: sumOf(a.tree, b.tree) })
  }

  update(range: UpdateRange): boolean {
    const { chunk, tree } = this.#gradient(range.gradient)
    const finite = this.onUpdate(chunk, tree, range)
    const state = { weights: this.stateAt(range.weights), velocity: this.stateAt(range.velocity) }
    const next = updatedChunk(state, tree, chunk, Math.fround(range.rate))
    this.state.set(range.nextWeights, next.weights)
    this.state.set(range.nextVelocity, next.velocity)
    return finite
  }

  stateAt(offset: number): number {
    const value = this.state.get(offset)
    if (value === undefined) throw new Violation('memory', `nothing was ever written at ${String(offset)}`)
    return value
  }

  #gradient(offset: number): { chunk: number; tree: GradientTree } {
    const gradient = this.#gradients.get(offset)
    if (gradient === undefined) throw new Violation('memory', `no gradient was ever written at ${String(offset)}`)
    return gradient
  }
}

/** The real bookkeeping of a slice over a memory of expressions. */
export class SymbolicSlice extends SliceState {
  readonly #arena: SymbolicArena
  #first = 0

  constructor(options: SliceOptions, arena: SymbolicArena, listener: SliceListener) {
    super(options, arena as unknown as Arena, listener)
    this.#arena = arena
  }

  override open(version: number): void {
    super.open(version)
    this.#first = version
  }

  /** Puts the state of the first version there. */
  write(chunk: number, weights: number, velocity: number): void {
    this.#arena.state.set(this.buffers.weights[0] + chunk * CHUNK_BYTES, weights)
    this.#arena.state.set(this.buffers.velocity[0] + chunk * CHUNK_BYTES, velocity)
  }

  /** What lies where a version's chunk is kept. */
  stateOf(version: number, chunk: number): { weights: number; velocity: number } {
    const side = sideOf(version, this.#first)
    const at = chunk * CHUNK_BYTES
    return {
      weights: this.#arena.stateAt(this.buffers.weights[side] + at),
      velocity: this.#arena.stateAt(this.buffers.velocity[side] + at),
    }
  }

  /** The digest of the chunk in the place of its floats. */
  override weights(version: number, chunk: number): Buffer {
    return this.stateOf(version, chunk).weights as unknown as Buffer
  }
}
