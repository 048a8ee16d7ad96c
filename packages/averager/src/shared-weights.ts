import type { SharedBody } from '@lockstep/shared/protocol/generated/lockstep/v1/SharedBody.js'
import { MemoryFile, MemoryReader } from '@lockstep/shared/shared-memory/memory-file.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'

const CHUNK_BYTES = CHUNK_FLOATS * Float32Array.BYTES_PER_ELEMENT
const SIDES = 2

/**
 * Weights of a slice for workers on the same machine, read by all of them: where the slice has them, if that is a file in memory, or else
 * written into one once. Two versions have places of their own, and a place is written again only when its version is two behind.
 */
export class SharedWeights {
  readonly #chunks: number
  readonly #fileOf: (version: number) => SharedFile | undefined
  #file: MemoryFile | undefined
  #asked = false
  /** Per side and chunk: which writing it holds. */
  readonly #holds: string[]
  #generation = 0

  /** @param fileOf the file that a version's weights are themselves, if they are one: then nothing is written anywhere else */
  constructor(chunks: number, fileOf: (version: number) => SharedFile | undefined = () => undefined) {
    this.#chunks = chunks
    this.#fileOf = fileOf
    this.#holds = new Array<string>(SIDES * chunks).fill('')
  }

  /** Whether whoever asks sees the same memory. @param path of its proof @param proof what lies there */
  proves(path: string, inode: number, proof: Uint8Array): boolean {
    if (path === '' || proof.length === 0) return false
    const reader = new MemoryReader()
    const found = Buffer.alloc(proof.length)
    const same = reader.read({ path, inode, offset: 0, bytes: proof.length }, found) && found.equals(proof)
    reader.close()
    return same
  }

  /** A version was dropped or left out: what was written of later ones is not what they will be. */
  forget(): void {
    this.#generation++
  }

  /** Where a chunk of a version lies; writes it into the file first if it lies in none and nobody asked before. Undefined when memory is full. */
  body(version: number, chunk: number, weights: Buffer): SharedBody | undefined {
    const own = this.#fileOf(version)
    if (own !== undefined) return { path: own.path, inode: own.inode, offset: chunk * CHUNK_BYTES, bytes: weights.length, lent: true }
    if (!this.#asked) this.#file = MemoryFile.create()
    this.#asked = true
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
