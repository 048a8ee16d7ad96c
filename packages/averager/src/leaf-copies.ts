import { createHash } from 'node:crypto'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'

/** What is audited in a step, and whose contributions do not count any more. */
export interface StepAudits {
  /** Leaves that two workers contribute, as nodes of their own. */
  readonly audited: readonly number[]
  /** Memberships of workers that computed wrong bits. */
  readonly quarantined: readonly string[]
}

/** An audited leaf that is whole: all its chunks came from one worker, or all its chunks are in the sum. */
export interface LeafCopy {
  readonly leaf: number
  /** Who sent it. Of what counts in the sum it may be several: a worker that died half way and the one after it. */
  readonly from: readonly string[]
  /** Whether these are the bytes that count in the sum. */
  readonly counted: boolean
  /** SHA-256 over the bytes of all chunks and the statistics, hexadecimal: equal bits, equal digests. */
  readonly digest: string
}

/** A chunk of an audited leaf that arrived. */
export interface ArrivedChunk {
  readonly leaf: number
  readonly chunk: number
  readonly worker: string
  readonly body: Uint8Array
  readonly statistics: NodeStatistics | undefined
}

/** Digests of the chunks of one copy. */
class Copy {
  readonly from = new Set<string>()
  readonly #digests: (Buffer | undefined)[]
  #missing: number

  constructor(chunks: number) {
    this.#digests = new Array<Buffer | undefined>(chunks).fill(undefined)
    this.#missing = chunks
  }

  /** @returns whether the copy is whole with this chunk; a chunk that was there already changes nothing */
  add(chunk: number, worker: string, digest: Buffer): boolean {
    if (this.#digests[chunk] !== undefined) return false
    this.#digests[chunk] = digest
    this.from.add(worker)
    return --this.#missing === 0
  }

  has(chunk: number): boolean {
    return this.#digests[chunk] !== undefined
  }

  get digest(): string {
    const hash = createHash('sha256')
    for (const digest of this.#digests) {
      invariant(digest !== undefined, 'only a whole copy has a digest')
      hash.update(digest)
    }
    return hash.digest('hex')
  }
}

/**
 * What a slice keeps of audited leaves: per leaf and worker the digest of every chunk that came, whether it was needed or
 * not, and the digests of the chunks that count. What is compared is so the very contribution, and a worker that died half
 * way through a leaf leaves nothing in the sum that nobody looked at. A digest a chunk instead of the bytes: an audit of a
 * leaf of half a gigabyte takes kilobytes.
 */
export class LeafCopies {
  readonly #chunks: number
  readonly #copies = new Map<string, Copy>()
  readonly #counted = new Map<number, Copy>()
  #quarantined: ReadonlySet<string> = new Set()

  /** @param chunks of the slice */
  constructor(chunks: number) {
    this.#chunks = chunks
  }

  /** A step begins, or begins again: what came before is forgotten. */
  begin({ audited, quarantined }: StepAudits): void {
    this.#quarantined = new Set(quarantined)
    this.#copies.clear()
    this.#counted.clear()
    for (const leaf of audited) this.#counted.set(leaf, new Copy(this.#chunks))
  }

  isQuarantined(worker: string): boolean {
    return this.#quarantined.has(worker)
  }

  /** Whether a node hides an audited leaf among others: then it cannot be compared and is not taken. */
  hides(node: LeafRange): boolean {
    if (this.#counted.size === 0 || node.count === 1) return false
    for (const leaf of this.#counted.keys()) if (leaf >= node.first && leaf < node.first + node.count) return true
    return false
  }

  isAudited(node: LeafRange): boolean {
    return node.count === 1 && this.#counted.has(node.first)
  }

  /**
   * Takes the digest of a chunk of an audited leaf.
   * @param accepted whether the chunk's bytes go into the sum
   * @returns what became whole with it
   */
  add({ leaf, chunk, worker, body, statistics }: ArrivedChunk, accepted: boolean): LeafCopy[] {
    const counted = this.#counted.get(leaf)
    invariant(counted !== undefined, 'only audited leaves are compared')
    const key = `${String(leaf)} ${worker}`
    const copy = this.#copies.get(key) ?? new Copy(this.#chunks)
    this.#copies.set(key, copy)
    if (copy.has(chunk) && !accepted) return []
    const digest = digestOf(body, statistics)
    const whole: LeafCopy[] = []
    if (copy.add(chunk, worker, digest)) whole.push({ leaf, from: [worker], counted: false, digest: copy.digest })
    if (accepted && counted.add(chunk, worker, digest)) whole.push({ leaf, from: [...counted.from], counted: true, digest: counted.digest })
    return whole
  }
}

function digestOf(body: Uint8Array, statistics: NodeStatistics | undefined): Buffer {
  const hash = createHash('sha256').update(body)
  if (statistics !== undefined) {
    const { lossSum, samples, correctTop1, correctTop5 } = statistics
    hash.update(Float64Array.of(lossSum, samples, correctTop1, correctTop5))
  }
  return hash.digest()
}
