import { EventEmitter } from 'node:events'
import type { Http2Stream } from 'node:http2'
import type { BufferPool } from './buffer-pool.js'
import type { MessageCodec } from './message-codec.js'
import { MessageReader, ProtocolError, type Lease } from './message-reader.js'

/** From so much given to the connection and not taken by the system on, a writer waits: enough for the next chunk to be ready. */
const HIGH_WATER_BYTES = 2 * 1024 * 1024

/** Why a stream did not end well. @see status of grpc-js */
export interface StreamError {
  readonly code: number
  readonly details: string
}

export interface BulkStreamEvents<In> {
  /** A message. Its fields of bytes are there until the handler returns, unless it keeps them by the lease. */
  data: [message: In, lease: Lease]
  /** After `write` was false: there is room again. */
  drain: []
  /** The other end has no more to say; as a client, also: and all went well. */
  end: []
  /** On clients: it went wrong. */
  error: [StreamError]
  /** Over, however, unless we cancelled it ourselves. On servers the only word of a client that has gone. */
  close: []
}

/**
 * Either end of one call: gRPC over an HTTP/2 stream, written and read without the copies and the fresh memory of a general
 * library. What travels is what any client or server of gRPC sends and reads.
 */
export abstract class BulkStream<In extends object, Out extends object> extends EventEmitter<BulkStreamEvents<In>> {
  protected stream: Http2Stream | undefined
  /** Nothing is told any more. */
  protected over = false
  readonly #outgoing: MessageCodec<Out, object>
  readonly #incoming: MessageCodec<never, In>
  readonly #pool: BufferPool
  readonly #reader: MessageReader
  #pendingBytes = 0
  #mustDrain = false
  #paused = false
  /** What was asked of a stream that is not there yet. */
  readonly #early: ((stream: Http2Stream) => void)[] = []

  protected constructor(outgoing: MessageCodec<Out, object>, incoming: MessageCodec<never, In>, pool: BufferPool) {
    super()
    this.#outgoing = outgoing
    this.#incoming = incoming
    this.#pool = pool
    this.#reader = new MessageReader(pool, (bytes, lease) => {
      if (!this.over) this.emit('data', this.#decoded(bytes), lease)
    })
  }

  /**
   * @param body the message's field `body`, copied before this returns
   * @param written called when the system has taken the message; never if the stream breaks first
   * @returns false when the next message should wait for `drain`
   */
  write(message: Out, body?: Uint8Array, written?: () => void): boolean {
    if (this.over) return true
    const { bytes, pooled } = this.#outgoing.frame(message, body, this.#pool)
    this.#pendingBytes += bytes.length
    this.withStream((stream) => {
      stream.write(bytes, (error) => {
        // what a broken stream had may still be on its way into a socket: it is not used again. Node tells it as if it were written
        if ((error !== null && error !== undefined) || stream.destroyed) return
        if (pooled !== undefined) this.#pool.give(pooled)
        this.#pendingBytes -= bytes.length
        written?.()
        if (!this.#mustDrain || this.#pendingBytes >= HIGH_WATER_BYTES) return
        this.#mustDrain = false
        if (!this.over) this.emit('drain')
      })
    })
    this.#mustDrain = this.#pendingBytes >= HIGH_WATER_BYTES
    return !this.#mustDrain
  }

  /** The other end's messages wait there; a few that are here already may still come. */
  pause(): void {
    this.#paused = true
    this.stream?.pause()
  }

  resume(): void {
    this.#paused = false
    this.stream?.resume()
  }

  protected withStream(work: (stream: Http2Stream) => void): void {
    if (this.stream === undefined) this.#early.push(work)
    else if (!this.stream.destroyed) work(this.stream)
  }

  /** The stream is there. */
  protected attach(stream: Http2Stream): void {
    this.stream = stream
    stream.on('data', (piece: Buffer) => {
      if (this.over) return
      try {
        this.#reader.read(piece)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        this.unreadable(error.message)
      }
    })
    if (this.#paused) stream.pause()
    for (const work of this.#early.splice(0)) work(stream)
  }

  #decoded(bytes: Buffer): In {
    try {
      return this.#incoming.decode(bytes)
    } catch (error) {
      throw new ProtocolError(`a message cannot be read: ${String(error)}`)
    }
  }

  /** Whether the other end stopped in the middle of a message. */
  protected get isWithinMessage(): boolean {
    return this.#reader.isWithin
  }

  /** What came is no message. */
  protected abstract unreadable(why: string): void
}
