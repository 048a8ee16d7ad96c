/**
 * What random numbers are for. The purpose is the second key word of Philox, the seed the first, so that no two uses
 * share a number. docs/numerics.md holds the same table with the counter layouts; a value here never changes its meaning.
 */
export const PURPOSE = {
  /** counter: (block of draws, epoch, 0, 0) for the order of samples or of shards, (…, epoch, 1, shard) within a shard, (…, 0, 2, 0) for packing */
  shuffle: 1,
  /** counter: (class, draw, 0, 0) */
  split: 2,
  /** counter: (stream position low, high, 0, 0); words: scale, crop row, crop column, flip */
  geometry: 3,
  /** counter: (stream position low, high, 0, 0); words: for three normal numbers */
  color: 4,
  /** counter: (unit / 4, stream position low, high, layer); word: unit mod 4 */
  dropout: 5,
  /** counter: (index / 2 low, high, layer, 0); two normal numbers or four uniform ones a block */
  weights: 6,
  /** counter: (leaf, step low, high, 0) */
  audit: 7,
  /** counter: (index / 4, kind, 0, 0): pictures, labels and weights of the probe */
  probe: 8,
} as const

export type Purpose = keyof typeof PURPOSE
