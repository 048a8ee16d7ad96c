import { NARROW_BYTES, type Arena } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS, type ParameterEntry } from '@lockstep/shared/parameters/layout.js'
import { copyBytes } from '@lockstep/shared/shared-memory/native-memory.js'
import { SharedBlock, unmapBlock, wholePages, type SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'

/**
 * Sums of gradients over the flat parameter vector, in shared memory. Slots are allocated when first used and used again
 * for ever, so that memory is constant over steps.
 */
export class Accumulators {
  private readonly offsets: number[] = []
  /** By slot, where other processes of the machine can map it. */
  private readonly blocks: (SharedBlock | undefined)[] = []
  private readonly scratch: number
  private readonly scratchFloats: number
  /** What rounding to bfloat16 took away from the nodes sent so far; taken when first needed. */
  private residual: number | undefined

  /** @param floats elements of the flat parameter vector */
  constructor(
    private readonly arena: Arena,
    private readonly floats: number,
  ) {
    this.scratchFloats = Math.min(CHUNK_FLOATS, floats)
    this.scratch = arena.allocate(this.scratchFloats)
  }

  /** Byte offset of a slot in the arena's memory. */
  byteOffset(slot: number): number {
    let offset = this.offsets[slot]
    if (offset === undefined) {
      const bytes = wholePages(this.floats * Float32Array.BYTES_PER_ELEMENT)
      offset = this.arena.allocatePages(bytes)
      this.offsets[slot] = offset
      this.blocks[slot] = SharedBlock.create(this.arena.memory, offset, bytes)
    }
    return offset
  }

  /** The file that a slot's bytes are, from its first on; undefined where nobody else can map it. */
  file(slot: number): SharedFile | undefined {
    const block = this.blocks[slot]
    return block && { path: block.path, inode: block.inode }
  }

  /** Somebody may still read what a slot held, so it gets other memory under the same addresses: shared again, or, where that is short, its own. */
  renew(slot: number): void {
    const [offset, former] = [this.offsets[slot], this.blocks[slot]]
    if (offset === undefined || former === undefined) return
    const bytes = wholePages(this.floats * Float32Array.BYTES_PER_ELEMENT)
    this.blocks[slot] = SharedBlock.create(this.arena.memory, offset, bytes)
    if (this.blocks[slot] === undefined) unmapBlock(this.arena.memory, { offset, bytes })
    former.close()
  }

  /** A slot's whole vector, in place. */
  view(slot: number): Float32Array {
    return this.arena.view(this.byteOffset(slot), this.floats)
  }

  /** Writes one parameter's values: the first addend is copied, nothing starts from zero. */
  copy(slot: number, entry: ParameterEntry, values: Float32Array): void {
    copyBytes(this.arena.bytes(this.byteOffset(slot) + entry.offset * 4, entry.size), bytesOf(values))
  }

  /** slot + values, float32, values on the right; chunk by chunk through a scratch buffer the kernel can see. */
  add(slot: number, entry: ParameterEntry, values: Float32Array): void {
    const base = this.byteOffset(slot) + entry.offset * 4
    for (let start = 0; start < entry.size; start += this.scratchFloats) {
      const floats = Math.min(this.scratchFloats, entry.size - start)
      copyBytes(this.arena.bytes(this.scratch, floats), bytesOf(values.subarray(start, start + floats)))
      this.arena.add(base + start * 4, base + start * 4, this.scratch, floats)
    }
  }

  /**
   * Rounds a slot to bfloat16 in place, its first half then, with error feedback: what the nodes before lost is added, what this one
   * loses is kept for the next. Batch statistics, which stand last, are rounded alone.
   * @param parameters elements before them
   */
  narrow(slot: number, parameters: number): void {
    const at = this.byteOffset(slot)
    const residual = (this.residual ??= this.zeros())
    this.arena.narrow({ values: at, destination: at, floats: parameters, feedback: { residual, next: residual } })
    const [values, destination] = [at + parameters * 4, at + parameters * NARROW_BYTES]
    this.arena.narrow({ values, destination, floats: this.floats - parameters })
  }

  /** Nothing was lost before: another membership begins. */
  forgetResidual(): void {
    if (this.residual !== undefined) this.arena.view(this.residual, this.floats).fill(0)
  }

  private zeros(): number {
    const offset = this.arena.allocate(this.floats)
    this.arena.view(offset, this.floats).fill(0)
    return offset
  }

  /** into + from, the whole vector. */
  merge(into: number, from: number): void {
    const destination = this.byteOffset(into)
    this.arena.add(destination, destination, this.byteOffset(from), this.floats)
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
