import type { SharedBody } from '@lockstep/shared/protocol/generated/lockstep/v1/SharedBody.js'
import { MemoryFile } from '@lockstep/shared/shared-memory/memory-file.js'

/**
 * Where bodies on their way to a slice lie in memory that both sides see. Bodies are acknowledged in the order in which
 * they were put here, so the places are a ring; it is larger than what may be in flight, so none is overwritten early.
 */
export class UploadRing {
  readonly #file: MemoryFile
  readonly #bytes: number
  #next = 0

  private constructor(file: MemoryFile, bytes: number) {
    this.#file = file
    this.#bytes = bytes
  }

  /** @param flightBytes the most that is in flight @param bodyBytes the longest body. @returns undefined without such memory */
  static create(flightBytes: number, bodyBytes: number): UploadRing | undefined {
    const file = MemoryFile.create()
    // one body may be in flight beyond the limit, and the end of the ring may be too short for another
    return file && new UploadRing(file, flightBytes + 2 * bodyBytes)
  }

  /** Puts a body into the next place. @returns undefined when memory is full */
  place(body: Uint8Array): SharedBody | undefined {
    const offset = this.#next + body.length > this.#bytes ? 0 : this.#next
    try {
      this.#file.write(body, offset)
    } catch {
      return undefined
    }
    this.#next = offset + body.length
    return this.#file.body(offset, body.length)
  }

  close(): void {
    this.#file.close()
  }
}
