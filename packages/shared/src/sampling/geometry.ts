import { philox } from '../random/philox.js'
import { PURPOSE } from '../random/purposes.js'

export interface GeometryOptions {
  /** Training scale S, pixels of the shorter side: fixed, or the range it is drawn from, both ends included. */
  readonly shortSide: number | readonly [from: number, to: number]
  readonly crop: 'random' | 'center'
  readonly flip: boolean
}

/** Which view of a picture is taken. The crop is kept as random words, since the picture's size is not known yet. */
export interface SampleGeometry {
  readonly shortSide: number
  /** Random words for the crop's row and column; null: centre. */
  readonly cropWords: { readonly row: number; readonly column: number } | null
  readonly flip: boolean
}

/** Whole number in [0, count) from one random word: floor(word · count / 2^32). Its bias, below count / 2^32, is harmless here. */
function scaled(word: number, count: number): number {
  return Math.floor((word * count) / 0x1_0000_0000)
}

/** The shorter side, crop and flip of the sample at a stream position. Counter (position low, high, 0, 0): scale, row, column, flip. */
export function geometryOf(seed: number, position: number, { shortSide, crop, flip }: GeometryOptions): SampleGeometry {
  const words = new Uint32Array(4)
  philox(position % 0x1_0000_0000, Math.floor(position / 0x1_0000_0000), 0, 0, seed, PURPOSE.geometry, words)
  const [scale = 0, row = 0, column = 0, mirror = 0] = words
  return {
    shortSide: typeof shortSide === 'number' ? shortSide : shortSide[0] + scaled(scale, shortSide[1] - shortSide[0] + 1),
    cropWords: crop === 'random' ? { row, column } : null,
    flip: flip && mirror >= 0x8000_0000,
  }
}

/** The view that evaluation and prediction take: centre crop at one scale. */
export function centerGeometry(shortSide: number): SampleGeometry {
  return { shortSide, cropWords: null, flip: false }
}

/** Upper left corner of a square crop of `side` pixels out of height × width (neither below `side`). Centre: rounded down. */
export function cropOrigin({ cropWords }: SampleGeometry, height: number, width: number, side: number): { top: number; left: number } {
  if (cropWords === null) return { top: Math.floor((height - side) / 2), left: Math.floor((width - side) / 2) }
  return { top: scaled(cropWords.row, height - side + 1), left: scaled(cropWords.column, width - side + 1) }
}
