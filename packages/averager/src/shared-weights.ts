import type { SharedBody } from '@lockstep/shared/protocol/generated/lockstep/v1/SharedBody.js'
import { MemoryFile, MemoryReader } from '@lockstep/shared/shared-memory/memory-file.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'

const CHUNK_BYTES = CHUNK_FLOATS * Float32Array.BYTES_PER_ELEMENT
const SIDES = 2

/**
 * Weights of a slice in a file in memory, for workers on the same machine: written once, read by all of them. Two versions
 * have places of their own, like in the slice, and a place is written again only when its version is two behind.
 */
export class SharedWeights {
  readonly #chunks: number
  #file: MemoryFile | undefined
  #asked = false
  /** Per side and chunk: which writing it holds. */
  readonly #holds: string[]
  #generation = 0

  constructor(chunks: number) {
    this.#chunks = chunks
    this.#holds = new Array<string>(SIDES * chunks).fill('')
  }

  /** Whether whoever asks sees the same memory. @param path of its proof @param proof what lies there */
  proves(path: string, inode: number, proof: Uint8Array): boolean {
    if (path === '' || proof.length === 0) return false
    const reader = new MemoryReader()
    const found = Buffer.alloc(proof.length)
    const same = reader.read({ path, inode, offset: 0, bytes: proof.length }, found) && found.equals(proof)
    reader.close()
    if (same && !this.#asked) {
      this.#asked = true
      this.#file = MemoryFile.create()
    }
    return same && this.#file !== undefined
  }

  /** A version was dropped or left out: what was written of later ones is not what they will be. */
  forget(): void {
    this.#generation++
  }

  /** Where a chunk of a version lies; writes it first if nobody asked before. Undefined when memory is full. */
  body(version: number, chunk: number, weights: Buffer): SharedBody | undefined {
    if (this.#file === undefined) return undefined
    const at = (version % SIDES) * this.#chunks + chunk
    const offset = at * CHUNK_BYTES
    const writing = `${String(version)}.${String(this.#generation)}`
    if (this.#holds[at] !== writing) {
      try {
        this.#file.write(weights, offset)
      } catch {
        return undefined
      }
      this.#holds[at] = writing
    }
    return this.#file.body(offset, weights.length)
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
  }
}
