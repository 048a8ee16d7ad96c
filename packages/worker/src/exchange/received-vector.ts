import { Arena, NARROW_BYTES } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'
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
}

/** float32 goes straight where it belongs. */
export class PlainVector implements ReceivedVector {
  readonly elementBytes = Float32Array.BYTES_PER_ELEMENT
  private readonly bytes: Uint8Array

  constructor(vector: SharedArrayBuffer) {
    this.bytes = new Uint8Array(vector)
  }

  fill({ offset, floats }: VectorChunk, read: (part: Uint8Array) => boolean): boolean {
    return read(this.bytes.subarray(offset * this.elementBytes, (offset + floats) * this.elementBytes))
  }
}

/** bfloat16 is made float32 by the kernel, by way of a chunk of memory that the kernel can see. */
export class WideningVector implements ReceivedVector {
  readonly elementBytes = NARROW_BYTES
  private readonly values: Float32Array
  private readonly arena = Arena.create(4 * CHUNK_FLOATS * Float32Array.BYTES_PER_ELEMENT)
  private readonly chunk = this.arena.allocate(CHUNK_FLOATS)

  constructor(vector: SharedArrayBuffer) {
    this.values = new Float32Array(vector)
  }

  fill({ offset, floats }: VectorChunk, read: (part: Uint8Array) => boolean): boolean {
    const source = this.chunk + floats * NARROW_BYTES
    if (!read(this.arena.halves(source, floats))) return false
    this.arena.widen(this.chunk, source, floats)
    this.values.set(this.arena.view(this.chunk, floats), offset)
    return true
  }
}
