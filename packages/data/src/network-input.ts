import { cropOrigin, type SampleGeometry } from '@lockstep/shared/sampling/geometry.js'
import type { Picture } from './picture.js'
import { GREY_WEIGHTS, type Preprocessing } from './preprocessing.js'
import type { Rgb } from './training-data.js'

/** What every byte of a pixel adds to the network's input. */
export interface ByteValues {
  /** Channels of the input: 3, or 1, grey. */
  readonly channels: 1 | 3
  /** R, G and B one after the other, 256 each: their normalised values, or for grey their shares of one value. */
  readonly table: Float32Array | Float64Array
}

const NO_SHIFT: Rgb = [0, 0, 0]

/**
 * The one arithmetic from bytes to network input, for training, evaluation and prediction alike: ((x + shift) − mean) / divisor in
 * float64, rounded once to float32. A table, since a byte has 256 values. Grey is the sum of the three channels' shares, with the
 * weights of ITU-R BT.601, less its mean and by its standard deviation.
 */
export function byteValues(
  { normalize, mean, std, greyStd }: Pick<Preprocessing, 'normalize' | 'mean' | 'std' | 'greyStd'>,
  shift: Rgb = NO_SHIFT,
): ByteValues {
  const channels = greyStd === undefined ? 3 : 1
  const table = channels === 3 ? new Float32Array(3 * 256) : new Float64Array(3 * 256)
  for (const channel of [0, 1, 2] as const) {
    const spread = greyStd ?? std[channel]
    // A channel without variance carries nothing: it stays 0 instead of becoming 0 / 0.
    const divisor = normalize === 'mean' || spread === 0 ? 1 : spread
    const share = channels === 3 ? 1 : GREY_WEIGHTS[channel]
    for (let byte = 0; byte < 256; byte++) table[channel * 256 + byte] = (share * (byte + shift[channel] - mean[channel])) / divisor
  }
  return { channels, table }
}

/** Floats of one picture as input. */
export function inputFloats({ inputSize, greyStd }: Pick<Preprocessing, 'inputSize' | 'greyStd'>): number {
  return inputSize * inputSize * (greyStd === undefined ? 3 : 1)
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
 * Crops, mirrors and normalises a picture into `out`, [side, side, channels] from `at` on.
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

/** The same of any rectangle inside the picture: [height, width, channels] from `at` on. */
export function writeRectangle(
  { pixels, width: stride }: Picture,
  part: Rectangle,
  { channels, table }: ByteValues,
  out: Float32Array,
  at: number,
): void {
  const { top, left, height, width, flip } = part
  const step = flip ? -3 : 3
  let to = at
  for (let row = 0; row < height; row++) {
    let from = ((top + row) * stride + left + (flip ? width - 1 : 0)) * 3
    for (let column = 0; column < width; column++) {
      const red = table[pixels[from] ?? 0] ?? 0
      const green = table[256 + (pixels[from + 1] ?? 0)] ?? 0
      const blue = table[512 + (pixels[from + 2] ?? 0)] ?? 0
      if (channels === 1) out[to] = red + green + blue
      else {
        out[to] = red
        out[to + 1] = green
        out[to + 2] = blue
      }
      to += channels
      from += step
    }
  }
}
