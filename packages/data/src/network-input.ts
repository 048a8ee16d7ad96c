import { cropOrigin, type SampleGeometry } from '@lockstep/shared/sampling/geometry.js'
import type { Picture } from './picture.js'
import type { Preprocessing } from './preprocessing.js'
import type { Rgb } from './training-data.js'

/** Normalised value of every byte, channel after channel: 3 × 256. */
export type ByteValues = Float32Array

const NO_SHIFT: Rgb = [0, 0, 0]

/**
 * The one arithmetic from bytes to network input, for training, evaluation and prediction alike: ((x + shift) − mean) / divisor in
 * float64, rounded once to float32. A table, since a byte has 256 values.
 */
export function byteValues({ normalize, mean, std }: Pick<Preprocessing, 'normalize' | 'mean' | 'std'>, shift: Rgb = NO_SHIFT): ByteValues {
  const values = new Float32Array(3 * 256)
  for (const channel of [0, 1, 2] as const) {
    // A channel without variance carries nothing: it stays 0 instead of becoming 0 / 0.
    const divisor = normalize === 'mean' || std[channel] === 0 ? 1 : std[channel]
    for (let byte = 0; byte < 256; byte++) values[channel * 256 + byte] = (byte + shift[channel] - mean[channel]) / divisor
  }
  return values
}

/** A part of a picture, pixels; `flip`: mirrored. */
export interface Rectangle {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
  readonly flip: boolean
}

/**
 * Crops, mirrors and normalises a picture into `out`, [side, side, 3] from `at` on.
 * @param picture neither side shorter than `side`
 */
export function writeInput(
  picture: Picture,
  geometry: SampleGeometry,
  side: number,
  values: ByteValues,
  out: Float32Array,
  at: number,
): void {
  const origin = cropOrigin(geometry, picture.height, picture.width, side)
  writeRectangle(picture, { ...origin, height: side, width: side, flip: geometry.flip }, values, out, at)
}

/** The same of any rectangle inside the picture: [height, width, 3] from `at` on. */
export function writeRectangle(
  { pixels, width: stride }: Picture,
  part: Rectangle,
  values: ByteValues,
  out: Float32Array,
  at: number,
): void {
  const { top, left, height, width, flip } = part
  const step = flip ? -3 : 3
  let to = at
  for (let row = 0; row < height; row++) {
    let from = ((top + row) * stride + left + (flip ? width - 1 : 0)) * 3
    for (let column = 0; column < width; column++) {
      out[to] = values[pixels[from] ?? 0] ?? 0
      out[to + 1] = values[256 + (pixels[from + 1] ?? 0)] ?? 0
      out[to + 2] = values[512 + (pixels[from + 2] ?? 0)] ?? 0
      to += 3
      from += step
    }
  }
}
