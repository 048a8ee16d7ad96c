import { describe, expect, it } from 'vitest'
import { centerGeometry, cropOrigin } from './geometry.js'
import { gridOrigin, viewsInWords, viewsOf, type EvaluationViews } from './evaluation-views.js'

const views = (protocol: EvaluationViews['protocol'], scales: number[], flip = false) => viewsOf({ protocol, scales, flip })

describe('viewsOf', () => {
  it.each<[EvaluationViews['protocol'], number[], boolean, number]>([
    ['center', [256], false, 1],
    ['center', [224, 256], true, 4],
    ['dense', [256], false, 1],
    ['dense', [224, 256, 288], true, 6],
    ['multi-crop', [256], false, 50],
    ['multi-crop', [256], true, 50],
    ['multi-crop', [256, 384, 512], false, 150],
    ['dense+multi-crop', [256, 384, 512], true, 156],
  ])('of %s at %j with flip %s are %i, and their weights are 1', (protocol, scales, flip, count) => {
    const all = views(protocol, scales, flip)
    expect(all).toHaveLength(count)
    expect(all.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12)
    expect(new Set(all.map((view) => JSON.stringify(view))).size).toBe(count)
  })

  it('gives dense and multi-crop half each, every scale the same', () => {
    const all = views('dense+multi-crop', [32, 40])
    const share = (test: (view: (typeof all)[number]) => boolean): number => all.filter(test).reduce((sum, { weight }) => sum + weight, 0)
    expect(share(({ kind }) => kind === 'dense')).toBeCloseTo(0.5, 12)
    expect(share(({ scale }) => scale === 1)).toBeCloseTo(0.5, 12)
    expect(all.slice(0, 2).map(({ kind }) => kind)).toEqual(['dense', 'dense'])
  })
})

describe('gridOrigin', () => {
  it('reaches every edge, evenly', () => {
    const tops = [0, 1, 2, 3, 4].map((row) => gridOrigin({ row, column: 0 }, 256, 300, 224).top)
    expect(tops).toEqual([0, 8, 16, 24, 32])
    const lefts = [0, 1, 2, 3, 4].map((column) => gridOrigin({ row: 0, column }, 256, 301, 224).left)
    expect(lefts).toEqual([0, 19, 38, 57, 77])
  })

  it('has the centre crop in the middle, at any size', () => {
    for (let height = 32; height < 41; height++) {
      for (let width = 32; width < 47; width++)
        expect(gridOrigin({ row: 2, column: 2 }, height, width, 32)).toEqual(cropOrigin(centerGeometry(32), height, width, 32))
    }
  })
})

describe('viewsInWords', () => {
  it.each<[EvaluationViews, string]>([
    [{ protocol: 'center', scales: [256], flip: false }, 'centre crop at scale 256'],
    [{ protocol: 'dense', scales: [224, 256, 288], flip: true }, 'dense at scales 224, 256 and 288, with mirror images'],
    [{ protocol: 'dense+multi-crop', scales: [256, 384], flip: false }, 'dense and 5 × 5 crops at scales 256 and 384, with mirror images'],
  ])('%j', (view, words) => {
    expect(viewsInWords(view)).toBe(words)
  })
})
