import type { Slice } from '@lockstep/shared/parameters/layout.js'
import { wasm, type WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import { mapBlock, wholePages, type SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT
const PAGE_BYTES = 65_536
const WASM32_PAGES = 65_536
/** One of our own, and one for each of the two places in which an averager on this machine keeps versions in turn. */
const REGIONS = 3

/** The region that is ours to write to. */
export const OWN_REGION = 0

/**
 * Where a worker's weights lie, for all its threads. A version that comes over a network is written into the region of our own; one of an
 * averager on this machine is not written at all: its pages are mapped into one of the other regions, read-only, and TensorFlow's variables are
 * those pages.
 */
export class WeightsMemory {
  readonly #regionBytes: number
  readonly #floats: number
  /** What is mapped where, by region and slice. */
  readonly #mapped = new Map<string, string>()

  private constructor(
    /** To be given to other threads. */
    readonly memory: WasmMemory,
    floats: number,
  ) {
    this.#floats = floats
    this.#regionBytes = wholePages(floats * FLOAT_BYTES)
  }

  /** @param floats elements of the flat weights vector */
  static create(floats: number): WeightsMemory {
    const pages = wholePages(floats * FLOAT_BYTES) / PAGE_BYTES
    // untouched pages take no memory; a vector too long for three has its own region alone
    const initial = pages * REGIONS <= WASM32_PAGES ? pages * REGIONS : pages
    return new WeightsMemory(new wasm.Memory({ initial, maximum: initial, shared: true }), floats)
  }

  /** The same memory on another thread. @param floats as it was created */
  static attach(memory: WasmMemory, floats: number): WeightsMemory {
    return new WeightsMemory(memory, floats)
  }

  /** The flat vector of a region, in place. */
  view(region: number): Float32Array {
    return new Float32Array(this.memory.buffer, region * this.#regionBytes, this.#floats)
  }

  /**
   * Makes a slice's version readable where it lies.
   * @param file the averager's, which holds the slice from its first byte on
   * @returns the region it is in now, or undefined where it cannot be mapped
   */
  map(version: number, slice: Slice, file: SharedFile): number | undefined {
    const region = 1 + (version % (REGIONS - 1))
    const place = { offset: region * this.#regionBytes + slice.offset * FLOAT_BYTES, bytes: wholePages(slice.size * FLOAT_BYTES) }
    if (place.offset + place.bytes > this.memory.buffer.byteLength) return undefined
    const key = `${String(region)}.${String(slice.index)}`
    const name = `${file.path} ${String(file.inode)}`
    if (this.#mapped.get(key) !== name) {
      if (!mapBlock(this.memory, place, file, 0, false)) return undefined
      this.#mapped.set(key, name)
    }
    return region
  }
}
