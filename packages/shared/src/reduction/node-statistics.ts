/** What goes up the reduction tree beside a partial gradient: sums over the samples of a node. */
export interface NodeStatistics {
  /** float64 sum over the samples, not divided by B */
  readonly lossSum: number
  readonly samples: number
  readonly correctTop1: number
  readonly correctTop5: number
  /** 1 + index of the first layer whose output is not finite, in the first leaf where that is so; 0 or left out: the loss is finite */
  readonly nonFiniteLayer?: number
}

/** left + right, as the tree adds gradients: the loss in float64, the counts exactly. On workers and averager alike. */
export function addStatistics(left: NodeStatistics, right: NodeStatistics): NodeStatistics {
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
