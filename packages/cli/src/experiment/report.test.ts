import { describe, expect, it } from 'vitest'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'
import { depthReport, type Measured } from './depth-report.js'
import { completeSettings } from './experiment-settings.js'
import { lossChart, signalChart, top1Chart } from './report-charts.js'
import { errorCell, fateCell, paperCell, reportRows } from './report-table.js'
import { commandOf, reportText } from './report-text.js'
import { planTrainings, type PlannedTraining } from './training-plan.js'
import type { TrainingResult } from './training-result.js'

const settings = completeSettings({
  configurations: ['vgg-a', 'vgg-d'],
  beginnings: ['he', 'normal-0.1', 'from-a'],
  seeds: [1, 2],
  set: ['steps=10'],
})

function resultOf(training: PlannedTraining): TrainingResult {
  const diverges = training.configuration === 'vgg-d' && training.beginning === 'normal-0.1'
  return {
    ...training,
    ...{ steps: 10, seconds: 12.5, imagesPerSecond: 1234.5, parameters: 1000, work: 1, stateDigest: null, source: null },
    losses: [1, 2, 3].map((step) => ({ step, loss: diverges && step > 1 ? null : 2 / step })),
    evaluations: diverges
      ? []
      : [0.3, 0.9].map((top1, index) => ({ step: 5 * index + 5, loss: 1, top1: top1 + training.seed / 100, top5: 0.99 })),
    diverged: diverges ? 'the loss is not finite' : null,
  }
}

function measured(classes: number): Measured {
  const plan = planTrainings(settings)
  return {
    settings,
    recipe: recipeSchema.parse({ model: { name: 'vgg-a' }, data: { train: '/t' }, steps: 10 }),
    yardsticks: {
      classes,
      trainPictures: 9000,
      chance: { top1: 0.112, pictures: 1000 },
      nearestNeighbour: { top1: 0.947, seconds: 3, side: 32 },
    },
    trainings: plan.map(resultOf),
    signals: plan
      .filter(({ seed }) => seed === 1)
      .map(({ configuration, beginning, seed }) => ({
        ...{ configuration, beginning, seed, learningRate: 0.01, input: 1, loss: 2.3 },
        layers: [
          { layer: 'block1_conv1', activation: 0.5, gradient: 0.1, kernel: 0.1 },
          { layer: 'predictions', activation: beginning === 'normal-0.1' ? null : 1e-4, gradient: 0.1, kernel: 0.1 },
        ],
      })),
  }
}

describe('the report', () => {
  it('has a row for everything trained, in the paper’s order, the paper’s errors beside ours', () => {
    const rows = reportRows(measured(10).trainings, { top1: 0.112, pictures: 1000 })
    expect(rows.map(({ configuration, beginning }) => `${configuration} ${beginning}`)).toEqual([
      ...['vgg-a normal-0.1', 'vgg-a he', 'vgg-a glorot', 'vgg-a from-a'],
      ...['vgg-d normal-0.1', 'vgg-d he', 'vgg-d from-a'],
    ])
    expect(rows.at(-1)).toMatchObject({
      seeds: [1, 2],
      fates: ['learns', 'learns'],
      seconds: 12.5,
      paper: { fixed: { top1: 27, top5: 8.8 } },
    })
    expect(rows[4]).toMatchObject({ top1Errors: [null, null], fates: ['diverges', 'diverges'] })
  })

  it('is written as Markdown', () => {
    const text = reportText(depthReport(measured(10)))
    expect(text).toContain(
      '`lockstep experiment depth --data digits --preset fast --seeds 1,2 --configurations a,d --initializations he,normal-0.1,from-a --set steps=10`',
    )
    expect(text).toMatch(/\| D \| random, N\(0, 0\.1²\) \| – \| – \| 27\.0 \/ 8\.8 \| 25\.6 \/ 8\.1 \| diverges \| 13 \| 1,23\d \|/)
    expect(text).toMatch(/\| A \| random, He \| 8\.5 % \(8\.0–9\.0\) \| 1\.0 % \(1\.0–1\.0\) \| 29\.6 \/ 10\.4 \| – \| learns \|/)
    expect(text).toMatch(/\| nearest neighbour on pixels \(32×32\) \| – \| 5\.3 % \|/)
    expect(text).toContain(
      '- *random, N(0, 0.1²)*: explodes in A at predictions, in D at predictions; the kernel that moves most changes by 0.0100 of itself.',
    )
    expect(text).toContain(
      '- *random, He*: dies in A at predictions, in D at predictions; the kernel that moves most changes by 0.0100 of itself.',
    )
    expect(text).toMatch(/\| D \| random, N\(0, 0\.1²\) \| – \| predictions \| not finite \|.*\| diverges \|/)
    expect(text).not.toMatch(/undefined|NaN|\[object/)
  })

  it.each([
    [10, true],
    [3, false],
  ])('of %i classes tells of five guesses: %s', (classes, told) => {
    const text = reportText(depthReport(measured(classes)))
    expect(text.includes('top-5 error')).toBe(told)
    const table = text.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('| ---'))
    for (const line of table.filter((one) => one.includes('nearest'))) expect(line.split('|')).toHaveLength(told ? 11 : 10)
  })

  it.each([
    ['loss', lossChart],
    ['top-1', top1Chart],
    ['signal', signalChart],
  ])('draws the curves of %s without a browser', (_, draw) => {
    const svg = draw(depthReport(measured(10)))
    expect(svg).toMatch(/^<svg /)
    for (const words of ['VGG-A', 'VGG-D', 'N(0, 0.1²)', 'from A']) expect(svg).toContain(words)
    expect(svg).not.toMatch(/NaN|Infinity/)
  })

  it.each([
    [[0.032], '3.2 %'],
    [[0.03, 0.05], '4.0 % (3.0–5.0)'],
    [[0.03, null], '–'],
    [[null], '–'],
  ])('tells errors %j as %s', (errors, cell) => {
    expect(errorCell(errors)).toBe(cell)
  })

  it.each([
    [['stalls', 'stalls'], 'stalls'],
    [['learns', 'stalls', 'learns'], 'learns on 2, stalls on 1'],
  ] as const)('tells outcomes %j as %s', (fates, cell) => {
    expect(fateCell(fates)).toBe(cell)
  })

  it('tells the paper’s errors', () => {
    expect([paperCell({ top1: 27, top5: 9 }), paperCell(null)]).toEqual(['27.0 / 9.0', '–'])
  })

  it('names the command that makes it again', () => {
    expect(commandOf(completeSettings({ data: '/x y', preset: 'full', seeds: [3] }))).toBe(
      "lockstep experiment depth --data '/x y' --preset full --seeds 3",
    )
  })
})
