import type { ParameterEntry } from '@lockstep/shared/parameters/layout.js'

/**
 * Numbers that Python and TypeScript compute alike, and sums that stand for a tensor: the other half of
 * tests/fixtures/networks/seeded_numbers.py, which says what they are.
 */

/** Of a longer tensor so many sums are kept instead of its numbers. */
const SUMS = 64
const SUM_STREAM = 0x5eed

function mixed(word: number): number {
  let x = word >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

function words(stream: number, count: number): Uint32Array {
  const start = mixed(stream)
  return Uint32Array.from({ length: count }, (_, index) => mixed(index + start))
}

/** 24 bits each, in [−1, 1). */
export function uniform(stream: number, count: number): Float64Array {
  return Float64Array.from(words(stream, count), (word) => (word >>> 8) / 2 ** 23 - 1)
}

/** The first weights of a tensor, the `number`-th of its network. @param scales powers of two, by the end of a name */
export function seededTensor(
  { name, shape, size, kind }: ParameterEntry,
  options: { readonly seed: number; readonly number: number; readonly scales: Readonly<Record<string, number>> },
): Float32Array {
  const numbers = uniform(options.seed * 1000 + options.number, size)
  const fanIn = shape.slice(0, -1).reduce((product, dimension) => product * dimension, 1)
  const [factor, mean] = { kernel: [Math.sqrt(6 / fanIn), 0], gamma: [0.25, 1], movingVariance: [0.5, 1] }[kind as string] ?? [0.25, 0]
  const scale = Object.entries(options.scales).reduce((product, [end, one]) => (name.endsWith(end) ? product * one : product), 1)
  return Float32Array.from(numbers, (value) => Math.fround(value * (factor ?? 0) + (mean ?? 0)) * scale)
}

export function seededPictures(count: number, seed: number, step: number, scale: number): Float32Array {
  return Float32Array.from(uniform(seed * 1000 + 900 + step, count), (value) => value * scale)
}

export function seededLabels(count: number, classes: number, seed: number, step: number): Int32Array {
  return Int32Array.from(words(seed * 1000 + 950 + step, count), (word) => word % classes)
}

/** The numbers of a tensor, or sums of them with random signs: linear, and they keep lengths, to 9 % or so. */
export function sumsOf(values: ArrayLike<number>): Float64Array {
  if (values.length <= SUMS) return Float64Array.from(values)
  const sums = new Float64Array(SUMS)
  words(SUM_STREAM, values.length).forEach((word, index) => {
    const value = values[index] ?? Number.NaN
    sums[word % SUMS] = (sums[word % SUMS] ?? 0) + ((word & SUMS) === 0 ? value : -value)
  })
  return sums
}

/** The numbers or sums that a fixture holds: little-endian float32 in base64. */
export function decodedSums(text: string): Float64Array {
  const bytes = Buffer.from(text, 'base64')
  return Float64Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))
}

/** Euclidean length of a difference; of `left` alone without `right`. */
export function distance(left: Float64Array, right?: Float64Array): number {
  return Math.sqrt(left.reduce((sum, value, index) => sum + (value - (right === undefined ? 0 : (right[index] ?? Number.NaN))) ** 2, 0))
}
