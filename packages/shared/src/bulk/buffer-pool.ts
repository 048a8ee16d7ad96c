import { CHUNK_FLOATS } from '../parameters/layout.js'

/** A chunk with its envelope fits. */
const POOLED_BYTES = CHUNK_FLOATS * Float32Array.BYTES_PER_ELEMENT + 4096
/** Buffers kept for later: 32 MiB. What is needed beyond them at a time is ordinary garbage. */
const MOST_FREE = 32

/**
 * Buffers that are used again. A fresh one of a megabyte costs its page faults, and V8 collects everything after some 20 MB of
 * such memory, many times a second; see docs/exchange.md.
 */
export class BufferPool {
  readonly #free: Buffer[] = []

  /** @returns a buffer at least so long, whose bytes may be anything */
  take(bytes: number): Buffer {
    if (bytes > POOLED_BYTES) return Buffer.allocUnsafeSlow(bytes)
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(POOLED_BYTES)
  }

  /** A buffer of {@link take} that nobody reads any more; given once. One that is never given is merely garbage. */
  give(buffer: Buffer): void {
    if (buffer.length === POOLED_BYTES && this.#free.length < MOST_FREE) this.#free.push(buffer)
  }
}
