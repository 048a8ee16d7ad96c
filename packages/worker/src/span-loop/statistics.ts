import type { ComputeStatistics } from '../compute/compute-messages.js'

/** left + right, as the reduction tree adds gradients: the loss in float64, the counts exactly. */
export function addStatistics(left: ComputeStatistics, right: ComputeStatistics): ComputeStatistics {
  return {
    lossSum: left.lossSum + right.lossSum,
    samples: left.samples + right.samples,
    correctTop1: left.correctTop1 + right.correctTop1,
    correctTop5: left.correctTop5 + right.correctTop5,
    ...firstOf(left.nonFiniteLayer, right.nonFiniteLayer),
  }
}

/** Where the left one says that a loss is not finite, or else the right one; nothing while both are. */
function firstOf(left = 0, right = 0): { nonFiniteLayer?: number } {
  const layer = left > 0 ? left : right
  return layer > 0 ? { nonFiniteLayer: layer } : {}
}
