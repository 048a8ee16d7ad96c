import { normalPair } from '../random/normal.js'
import { philox } from '../random/philox.js'
import { PURPOSE } from '../random/purposes.js'

/**
 * The colour shift of the sample at a stream position: Σₖ pₖ · αₖ · √λₖ with αₖ ~ N(0, std), pₖ and λₖ eigenvectors and eigenvalues of
 * the covariance of RGB (Krizhevsky et al. 2012, section 4.1; published code takes the square roots of the eigenvalues). One draw
 * shifts every pixel of the picture. Counter (position low, high, 0, 0): two pairs of normal numbers, three of them used.
 * @param eigenvectors eigenvectors[k] = (r, g, b) of eigenvalues[k], in 0–1 units of RGB
 * @returns what to add to red, green and blue, on the 0–255 scale
 */
export function colorShiftOf(
  seed: number,
  position: number,
  std: number,
  eigenvectors: readonly (readonly number[])[],
  eigenvalues: readonly number[],
): [number, number, number] {
  const words = new Uint32Array(4)
  philox(position % 0x1_0000_0000, Math.floor(position / 0x1_0000_0000), 0, 0, seed, PURPOSE.color, words)
  const normals = new Float64Array(4)
  normalPair(words[0] ?? 0, words[1] ?? 0, normals, 0)
  normalPair(words[2] ?? 0, words[3] ?? 0, normals, 2)
  const shift: [number, number, number] = [0, 0, 0]
  for (const k of [0, 1, 2] as const) {
    const amount = 255 * std * (normals[k] ?? 0) * Math.sqrt(eigenvalues[k] ?? 0)
    for (const channel of [0, 1, 2] as const) shift[channel] += amount * (eigenvectors[k]?.[channel] ?? 0)
  }
  return shift
}
