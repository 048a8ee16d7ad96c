import type { BufferPool } from './buffer-pool.js'
import { PREFIX_BYTES } from './message-codec.js'

/** Larger than any chunk with its envelope; a message beyond it is a mistake of ours. */
export const MESSAGE_LIMIT_BYTES = 8 * 1024 * 1024

/** What came is no message of ours. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** The bytes of a message, as long as nobody has said that they are done with. */
export class Lease {
  #held = false
  #give: (() => void) | undefined

  /** @param give called once, when the bytes may be written over; nothing where they are ordinary memory */
  constructor(give?: () => void) {
    this.#give = give
  }

  /** Keeps the bytes beyond the handler of the message. @returns what lets them go; to be called again does nothing */
  keep(): () => void {
    this.#held = true
    return () => {
      const give = this.#give
      this.#give = undefined
      give?.()
    }
  }

  /** The handler has returned. */
  returned(): void {
    if (!this.#held) this.keep()()
  }
}

/** Puts messages together from the pieces that a connection brings: a large one in a pooled buffer, once; a small one stays in its piece. */
export class MessageReader {
  readonly #pool: BufferPool
  readonly #onMessage: (bytes: Buffer, lease: Lease) => void
  readonly #prefix = Buffer.alloc(PREFIX_BYTES)
  #prefixed = 0
  /** Where the message under way is gathered. */
  #buffer: Buffer | undefined
  #length = 0
  #filled = 0

  /** @param onMessage may keep the bytes by the lease; without it they are its own only until it returns */
  constructor(pool: BufferPool, onMessage: (bytes: Buffer, lease: Lease) => void) {
    this.#pool = pool
    this.#onMessage = onMessage
  }

  /** Whether a message has begun and is not whole. */
  get isWithin(): boolean {
    return this.#prefixed > 0
  }

  /** @throws ProtocolError if what comes is no message of gRPC, is compressed or is longer than any of ours */
  read(piece: Buffer): void {
    let at = 0
    while (at < piece.length || (this.#prefixed === PREFIX_BYTES && this.#length === 0)) {
      if (this.#prefixed < PREFIX_BYTES) {
        const copied = piece.copy(this.#prefix, this.#prefixed, at, at + PREFIX_BYTES - this.#prefixed)
        this.#prefixed += copied
        at += copied
        if (this.#prefixed === PREFIX_BYTES) this.#begin()
      } else if (this.#buffer === undefined && this.#length <= piece.length - at) {
        this.#prefixed = 0
        this.#tell(piece.subarray(at, at + this.#length), new Lease())
        at += this.#length
      } else at += this.#gather(piece, at)
    }
  }

  #begin(): void {
    this.#length = this.#prefix.readUInt32BE(1)
    this.#filled = 0
    if (this.#prefix.readUInt8(0) !== 0) throw new ProtocolError('a message is compressed, which was not agreed')
    if (this.#length > MESSAGE_LIMIT_BYTES)
      throw new ProtocolError(`a message of ${String(this.#length)} bytes is longer than the ${String(MESSAGE_LIMIT_BYTES)} allowed`)
  }

  /** @returns bytes taken */
  #gather(piece: Buffer, at: number): number {
    const buffer = (this.#buffer ??= this.#pool.take(this.#length))
    const copied = piece.copy(buffer, this.#filled, at, Math.min(piece.length, at + this.#length - this.#filled))
    this.#filled += copied
    if (this.#filled === this.#length) {
      this.#prefixed = 0
      this.#buffer = undefined
      this.#tell(
        buffer.subarray(0, this.#length),
        new Lease(() => {
          this.#pool.give(buffer)
        }),
      )
    }
    return copied
  }

  #tell(bytes: Buffer, lease: Lease): void {
    this.#onMessage(bytes, lease)
    lease.returned()
  }
}
