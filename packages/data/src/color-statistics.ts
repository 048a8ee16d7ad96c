import type { ColorStatistics } from '@lockstep/shared/sampling/dataset-description.js'
import type { Picture } from './picture.js'
import { symmetricEigen } from './symmetric-eigen.js'

/** Sums over the pixels of one picture, whole numbers: pixels, r, g, b, rr, rg, rb, gg, gb, bb. Exact below 2^37 pixels. */
export type PixelSums = readonly [number, number, number, number, number, number, number, number, number, number]

export function pixelSums({ pixels }: Picture): PixelSums {
  let [sr, sg, sb, srr, srg, srb, sgg, sgb, sbb] = [0, 0, 0, 0, 0, 0, 0, 0, 0]
  for (let i = 0; i < pixels.length; i += 3) {
    const r = pixels[i] ?? 0
    const g = pixels[i + 1] ?? 0
    const b = pixels[i + 2] ?? 0
    sr += r
    sg += g
    sb += b
    srr += r * r
    srg += r * g
    srb += r * b
    sgg += g * g
    sgb += g * b
    sbb += b * b
  }
  return [pixels.length / 3, sr, sg, sb, srr, srg, srb, sgg, sgb, sbb]
}

/**
 * Colour statistics of a data set from exact integer sums: neither the order of the pictures nor the machine can change a bit of
 * them. One rounding each, at the division at the end; then a fixed Jacobi iteration for the eigenvectors.
 */
export class ColorSums {
  private readonly sums = new Array<bigint>(10).fill(0n)

  add(sums: PixelSums): void {
    for (const [i, sum] of sums.entries()) this.sums[i] = (this.sums[i] ?? 0n) + BigInt(sum)
  }

  /** @returns statistics of all pixels added so far; at least one */
  statistics(): ColorStatistics {
    const [pixels = 1n, r = 0n, g = 0n, b = 0n, ...products] = this.sums
    const first = [r, g, b] as const
    const count = Number(pixels)
    // Covariance of channels i and j, times pixels²: pixels · Σij − Σi · Σj, still exact.
    const covariance = (k: number, i: 0 | 1 | 2, j: 0 | 1 | 2): number =>
      Number(pixels * (products[k] ?? 0n) - first[i] * first[j]) / count / count
    const [rr, rg, rb, gg, gb, bb] = [
      covariance(0, 0, 0),
      covariance(1, 0, 1),
      covariance(2, 0, 2),
      covariance(3, 1, 1),
      covariance(4, 1, 2),
      covariance(5, 2, 2),
    ]
    const unit = (value: number): number => value / 65_025
    const { values, vectors } = symmetricEigen([
      [unit(rr), unit(rg), unit(rb)],
      [unit(rg), unit(gg), unit(gb)],
      [unit(rb), unit(gb), unit(bb)],
    ])
    return {
      mean: [Number(r) / count, Number(g) / count, Number(b) / count],
      std: [Math.sqrt(rr), Math.sqrt(gg), Math.sqrt(bb)],
      eigenvalues: values,
      eigenvectors: vectors,
      pixels: count,
    }
  }
}
