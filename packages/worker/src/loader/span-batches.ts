import type { LeafRange } from '@lockstep/shared/reduction/tree.js'

/** How samples of a step are cut into micro-batches and leaves. */
export interface BatchGeometry {
  /** B, samples a step. */
  readonly global: number
  /** b, samples a micro-batch. */
  readonly micro: number
  /** k, micro-batches a leaf. */
  readonly leaf: number
}

/** Stream position of the first sample of a micro-batch. */
export function positionOf(batch: BatchGeometry, step: number, leaf: number, micro: number): number {
  return step * batch.global + (leaf * batch.leaf + micro) * batch.micro
}

/** Stream positions of all micro-batches of some leaves of a step, in order. */
export function positionsOf(batch: BatchGeometry, step: number, leaves: LeafRange): number[] {
  return Array.from({ length: leaves.count * batch.leaf }, (_, index) => positionOf(batch, step, leaves.first, index))
}

/** Memory given to batches decoded ahead. */
const PREFETCH_BYTES = 128 * 1024 * 1024
/** Enough for one in hand and one after it, however large they are. */
const FEWEST_BATCHES = 2
const MOST_BATCHES = 32

/** How many micro-batches are decoded ahead. @param sampleBytes bytes of a decoded sample */
export function prefetchCapacity(samples: number, sampleBytes: number): number {
  return Math.min(MOST_BATCHES, Math.max(FEWEST_BATCHES, Math.floor(PREFETCH_BYTES / (samples * sampleBytes))))
}
