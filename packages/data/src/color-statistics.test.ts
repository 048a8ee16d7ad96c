import { describe, expect, it } from 'vitest'
import { ColorSums, pixelSums } from './color-statistics.js'
import { drawnPixels } from './drawn-pictures.js'
import { symmetricEigen } from './symmetric-eigen.js'

const pictures = [1, 2, 3, 4, 5].map((salt) => ({ height: 9 + salt, width: 13, pixels: drawnPixels(9 + salt, 13, salt) }))

const statisticsOf = (some: readonly (typeof pictures)[number][]): ReturnType<ColorSums['statistics']> => {
  const sums = new ColorSums()
  for (const picture of some) sums.add(pixelSums(picture))
  return sums.statistics()
}

describe('colour statistics', () => {
  it('agree with a two-pass float64 reference', () => {
    const channels = [0, 1, 2].map((channel) => pictures.flatMap(({ pixels }) => [...pixels].filter((_, i) => i % 3 === channel)))
    const mean = channels.map((values) => values.reduce((sum, value) => sum + value, 0) / values.length)
    const covariance = (i: number, j: number): number =>
      (channels[i] ?? []).reduce((sum, value, k) => sum + (value - (mean[i] ?? 0)) * ((channels[j]?.[k] ?? 0) - (mean[j] ?? 0)), 0) /
      (channels[0] ?? []).length
    const found = statisticsOf(pictures)
    expect(found.pixels).toBe(channels[0]?.length)
    for (const i of [0, 1, 2] as const) {
      expect(found.mean[i]).toBeCloseTo(mean[i] ?? 0, 10)
      expect(found.std[i]).toBeCloseTo(Math.sqrt(covariance(i, i)), 10)
      for (const j of [0, 1, 2] as const) {
        // Σ_k λ_k p_k p_kᵀ is the covariance again, in 0–1 units.
        const rebuilt = [0, 1, 2].reduce(
          (sum, k) => sum + (found.eigenvalues[k] ?? 0) * (found.eigenvectors[k]?.[i] ?? 0) * (found.eigenvectors[k]?.[j] ?? 0),
          0,
        )
        expect(rebuilt).toBeCloseTo(covariance(i, j) / 255 ** 2, 12)
      }
    }
  })

  it('are the same bits in whatever order the pictures come', () => {
    expect(statisticsOf([...pictures].reverse())).toEqual(statisticsOf(pictures))
  })

  it('of one flat colour have no variance', () => {
    const found = statisticsOf([{ height: 1, width: 2, pixels: Buffer.from([7, 8, 9, 7, 8, 9]) }])
    expect(found.mean).toEqual([7, 8, 9])
    expect([...found.std, ...found.eigenvalues]).toEqual([0, 0, 0, 0, 0, 0])
  })
})

describe('symmetricEigen', () => {
  it('finds known eigenvalues, largest first, with orthonormal vectors', () => {
    const { values, vectors } = symmetricEigen([
      [2, 1, 0],
      [1, 2, 0],
      [0, 0, 5],
    ])
    expect(values.map((value) => Math.round(value * 1e12) / 1e12)).toEqual([5, 3, 1])
    for (const i of [0, 1, 2] as const) {
      for (const j of [0, 1, 2] as const) {
        const dot = vectors[i][0] * vectors[j][0] + vectors[i][1] * vectors[j][1] + vectors[i][2] * vectors[j][2]
        expect(dot).toBeCloseTo(i === j ? 1 : 0, 12)
      }
    }
    for (const vector of vectors) expect(Math.max(...vector)).toBe(Math.max(...vector.map(Math.abs)))
  })
})
