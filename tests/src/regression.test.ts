import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { predictImages } from '@lockstep/worker/standalone/predict-images.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from './support/command.js'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** A network that learns a value, which the folders are called after. */
const MINUTES = 60_000
const STEPS = 30
const VALUES = { bar: '-0.5', circle: '0.25', square: '1' } as const

let base: string
let pictures: string
let reference: Trained

function regressionRecipe(workers: number): Recipe {
  return recipeOf(pictures, {
    ...{ name: 'regression', workers, steps: STEPS, batch: { global: 16, micro: 4 } },
    model: { name: 'small-cnn', width: 0.25, inputSize: 28, channels: 1, task: 'regression' },
    data: { train: pictures, validation: { split: 0.2 }, augment: { shortSide: 28 } },
    learningRate: { initial: 0.002, schedule: { type: 'plateau', monitor: 'loss' } },
    evaluation: { everySteps: 15, batch: 8, flip: true },
    run: { workers: { count: workers, minimum: workers }, checkpoint: { everySteps: 15, digestEverySteps: 1 } },
  })
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-regression-'))
  pictures = await drawFolder(join(base, 'pictures'), 24)
  for (const [kind, value] of Object.entries(VALUES)) await rename(join(pictures, kind), join(pictures, value))
  reference = await trainToEnd(regressionRecipe(1), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('a regression', () => {
  it('learns: its squared error falls below that of the mean of all values', () => {
    const evaluations = reference.events.flatMap((event) => (event.type === 'evaluation' ? [event.loss] : []))
    expect(evaluations).toHaveLength(2)
    expect(reference.losses.every(Number.isFinite)).toBe(true)
    // Of -0.5, 0.25 and 1 the mean is 0.25.
    expect(evaluations.at(-1)).toBeLessThan(0.375)
    expect(new Set(reference.digests.values()).size).toBe(STEPS)
  })

  it(
    'has the same bits with two workers',
    async () => {
      const two = await trainToEnd(regressionRecipe(2), { base: join(base, 'runs') })
      expect(two.summary.workers).toBe(2)
      expect([...two.digests]).toEqual([...reference.digests])
      expect(two.summary.stateDigest).toBe(reference.summary.stateDigest)
    },
    3 * MINUTES,
  )

  it(
    'is evaluated by its errors and predicts values',
    async () => {
      const checkpoint = join(reference.directory, 'checkpoints', 'latest.safetensors')
      const work = { checkpoints: [checkpoint], computeThreads: 1, logFile: join(base, 'standalone.log') }
      const report = await evaluateCheckpoint(work)
      const last = reference.events.findLast((event) => event.type === 'evaluation')
      expect(last).toMatchObject({ loss: report.loss, top1: report.top1, samples: report.samples })
      const absolute = report.meanAbsoluteError ?? Number.NaN
      expect(absolute).toBeGreaterThan(0)
      // The mean of squares is no less than the square of the mean.
      expect(absolute ** 2).toBeLessThanOrEqual(report.loss)
      const images = Object.values(VALUES).map((value) => join(pictures, value, '000.png'))
      const predictions = await predictImages({ ...work, images, top: 3 })
      const errors = predictions.map(({ value = Number.NaN }, index) => Math.abs(value - Number(Object.values(VALUES)[index])))
      expect(predictions.every(({ classes }) => classes.length === 0)).toBe(true)
      expect(Math.max(...errors)).toBeLessThan(2)
    },
    2 * MINUTES,
  )

  it(
    'is told in its own words on the command line, and a folder that is no number is refused in one line',
    async () => {
      const run = reference.directory
      const { stdout } = await runCommand(['evaluate', run, '--data', pictures], base)
      expect(stdout).toMatch(/mean squared error +\d[^]*mean absolute error +\d[^]*nearest is right/)
      const predicted = await runCommand(['predict', run, join(pictures, '1', '000.png')], base)
      expect(predicted.stdout).toMatch(/000\.png\n +-?\d/)
      await rename(join(pictures, '1'), join(pictures, 'one'))
      const refused = await runCommand(['train', join(run, 'recipe.yaml'), '--run', 'refused'], base)
      expect(refused.code).toBe(1)
      expect(refused.stderr.trim()).toMatch(
        /^error: model\.task: in a regression the folder "one" of .*pictures is not called a number; name each folder/,
      )
    },
    5 * MINUTES,
  )
})
