import type { Arena } from '@lockstep/shared/kernels/arena.js'

/** Which of the two buffers of a pair a version lives in. */
export type Side = 0 | 1

/** Where a slice keeps its two versions: byte offsets into its memory, by side. */
export interface VersionBuffers {
  readonly weights: readonly [number, number]
  readonly velocity: readonly [number, number]
}

export type StateKind = 'weights' | 'velocity'

/** Takes the buffers of both versions. @param floats elements of the slice. @throws TrainError MEMORY */
export function allocateBuffers(arena: Arena, floats: number): VersionBuffers {
  return {
    weights: [arena.allocate(floats), arena.allocate(floats)],
    velocity: [arena.allocate(floats), arena.allocate(floats)],
  }
}

/** The side of a version, when version `opened` lived on side 0. */
export function sideOf(version: number, opened: number): Side {
  return (version - opened) % 2 === 0 ? 0 : 1
}
