import { Arena, NARROW_BYTES } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS, type Slice } from '@lockstep/shared/parameters/layout.js'
import type { SharedBody__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/SharedBody.js'
import { OWN_REGION, type WeightsMemory } from '../compute/weights-memory.js'
import type { VectorChunk } from './node-chunks.js'

/** The flat weights vector as chunks arrive in it. */
export interface ReceivedVector {
  /** Bytes of an element on the wire. */
  readonly elementBytes: number
  /**
   * Puts a chunk in its place.
   * @param read writes the chunk's bytes; false if it could not
   * @returns what `read` returned
   */
  fill(place: VectorChunk, read: (part: Uint8Array) => boolean): boolean
  /** The region in which a chunk can be read where the averager has it; undefined where it must be copied. */
  map(version: number, slice: Slice, place: VectorChunk, shared: SharedBody__Output): number | undefined
  /** Copies a chunk from a region in which it is mapped. */
  copyFrom(region: number, place: VectorChunk): void
}

/** Where a version under way is gathered: mapped where the averager has it, or, from the first chunk on that cannot be, in our own region. */
export class VersionPlace {
  private mappedIn: number | undefined
  private copies = false
  private readonly mapped: VectorChunk[] = []

  constructor(
    private readonly version: number,
    private readonly vector: ReceivedVector,
  ) {}

  /** The region that the version is in, when all its chunks are there. */
  get region(): number {
    return this.copies ? OWN_REGION : (this.mappedIn ?? OWN_REGION)
  }

  /** @returns whether the chunk is there now, without having been copied */
  map(slice: Slice, place: VectorChunk, shared: SharedBody__Output): boolean {
    if (this.copies) return false
    const region = this.vector.map(this.version, slice, place, shared)
    if (region === undefined) return false
    this.mappedIn = region
    this.mapped.push(place)
    return true
  }

  /** Writes a chunk into our own region, and what was mapped before it. @returns what `read` returned */
  copy(place: VectorChunk, read: (part: Uint8Array) => boolean): boolean {
    this.copies = true
    if (this.mappedIn !== undefined) for (const other of this.mapped.splice(0)) this.vector.copyFrom(this.mappedIn, other)
    return this.vector.fill(place, read)
  }
}

/** float32 goes straight where it belongs. */
export class PlainVector implements ReceivedVector {
  readonly elementBytes = Float32Array.BYTES_PER_ELEMENT
  private readonly bytes: Uint8Array

  constructor(private readonly weights: WeightsMemory) {
    const { buffer, byteOffset, byteLength } = weights.view(OWN_REGION)
    this.bytes = new Uint8Array(buffer, byteOffset, byteLength)
  }

  fill({ offset, floats }: VectorChunk, read: (part: Uint8Array) => boolean): boolean {
    return read(this.bytes.subarray(offset * this.elementBytes, (offset + floats) * this.elementBytes))
  }

  map(version: number, slice: Slice, { offset }: VectorChunk, shared: SharedBody__Output): number | undefined {
    if (!shared.lent || shared.offset !== (offset - slice.offset) * this.elementBytes) return undefined
    return this.weights.map(version, slice, shared)
  }

  copyFrom(region: number, { offset, floats }: VectorChunk): void {
    this.weights.view(OWN_REGION).set(this.weights.view(region).subarray(offset, offset + floats), offset)
  }
}

/** bfloat16 is made float32 by the kernel, by way of a chunk of memory that the kernel can see. */
export class WideningVector implements ReceivedVector {
  readonly elementBytes = NARROW_BYTES
  private readonly values: Float32Array
  private readonly arena = Arena.create(4 * CHUNK_FLOATS * Float32Array.BYTES_PER_ELEMENT)
  private readonly chunk = this.arena.allocate(CHUNK_FLOATS)

  constructor(weights: WeightsMemory) {
    this.values = weights.view(OWN_REGION)
  }

  fill({ offset, floats }: VectorChunk, read: (part: Uint8Array) => boolean): boolean {
    const source = this.chunk + floats * NARROW_BYTES
    if (!read(this.arena.halves(source, floats))) return false
    this.arena.widen(this.chunk, source, floats)
    this.values.set(this.arena.view(this.chunk, floats), offset)
    return true
  }

  /** What travels is not what weights are. */
  map(): undefined {
    return undefined
  }

  copyFrom(): void {
    // nothing is ever mapped
  }
}
