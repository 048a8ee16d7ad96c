import type { Arena } from '@lockstep/shared/kernels/arena.js'
import { SharedBlock, wholePages, type SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'

/** Which of the two buffers of a pair a version lives in. */
export type Side = 0 | 1

/** Where a slice keeps its two versions: byte offsets into its memory, by side. */
export interface VersionBuffers {
  readonly weights: readonly [number, number]
  readonly velocity: readonly [number, number]
}

/** The files in memory that the weights are, by side; undefined where nobody else can map them. */
export type VersionFiles = readonly [SharedFile | undefined, SharedFile | undefined]

export type StateKind = 'weights' | 'velocity'

/**
 * Takes the buffers of both versions.
 * @param floats elements of the slice
 * @param share whether workers on this machine may read the weights where they lie
 * @throws TrainError MEMORY
 */
export function allocateBuffers(arena: Arena, floats: number, share: boolean): { buffers: VersionBuffers; files: VersionFiles } {
  const bytes = wholePages(floats * Float32Array.BYTES_PER_ELEMENT)
  const place = (): number => (share ? arena.allocatePages(bytes) : arena.allocate(floats))
  const weights = [place(), place()] as const
  const velocity = [arena.allocate(floats), arena.allocate(floats)] as const
  const file = (offset: number): SharedBlock | undefined => (share ? SharedBlock.create(arena.memory, offset, bytes) : undefined)
  return { buffers: { weights, velocity }, files: [file(weights[0]), file(weights[1])] }
}

/** The side of a version, when version `opened` lived on side 0. */
export function sideOf(version: number, opened: number): Side {
  return (version - opened) % 2 === 0 ? 0 : 1
}
