import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Recipe, RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { drawFolder } from './support/picture-folder.js'
import { killingOneWorkerAt } from './support/killed-worker.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/**
 * Nesterov momentum, label smoothing and clipping by the norm keep the claim: real processes, a vector of three chunks, so that
 * two slices are two, and a limit that some steps reach.
 */
const MINUTES = 60_000
const STEPS = 6
const OPTIONS = {
  optimizer: { momentum: 0.9, nesterov: true, weightDecay: 5e-4, clipNorm: 0.5 },
  loss: { labelSmoothing: 0.1 },
} satisfies Partial<RecipeInput>

let base: string
let pictures: string
let reference: Trained

function recipe(changes: Partial<RecipeInput> = {}, workers = 1, slices = 1): Recipe {
  return recipeOf(pictures, {
    ...{ steps: STEPS, model: { name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [1024, 512], dropout: 0.5 }, ...OPTIONS },
    ...{ learningRate: { initial: 0.05, warmupSteps: 2, schedule: { type: 'cosine' } }, evaluation: { everySteps: STEPS, batch: 16 } },
    run: { workers: { count: workers, minimum: workers }, averager: { slices }, checkpoint: { digestEverySteps: 1 } },
    ...changes,
  })
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-options-'))
  pictures = await drawFolder(join(base, 'pictures'), 20)
  reference = await trainToEnd(recipe(), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('options of training', () => {
  it(
    'give the same bits with three workers and the averager in two slices',
    async () => {
      const trained = await trainToEnd(recipe({}, 3, 2), { base: join(base, 'runs') })
      expect(trained.summary.workers).toBe(3)
      expect([...trained.digests]).toEqual([...reference.digests])
      expect(trained.losses).toEqual(reference.losses)
      expect(trained.summary).toMatchObject({ loss: reference.summary.loss, weightsDigest: reference.summary.weightsDigest })
      expect(new Set(reference.digests.values()).size).toBe(STEPS)
      expect(reference.losses.every(Number.isFinite)).toBe(true)
    },
    3 * MINUTES,
  )

  it(
    'give the same bits when one of two workers is killed with SIGKILL',
    async () => {
      const killed = recipe({}, 2, 2)
      killed.run.workers.minimum = 1
      const trained = await trainToEnd(killed, { base: join(base, 'runs') }, killingOneWorkerAt(2))
      expect(trained.summary.faults).toMatchObject({ workerLost: 1 })
      expect([...trained.digests]).toEqual([...reference.digests])
    },
    3 * MINUTES,
  )

  it.each<[string, Partial<RecipeInput>, boolean]>([
    ['as it is', {}, true],
    ['without Nesterov momentum', { optimizer: { ...OPTIONS.optimizer, nesterov: false } }, false],
    ['without label smoothing', { loss: { labelSmoothing: 0 } }, false],
    ['without clipping', { optimizer: { ...OPTIONS.optimizer, clipNorm: 1e6 } }, false],
  ])(
    'are all at work in the first step: %s',
    async (_, changes, same) => {
      const other = await trainToEnd(recipe({ ...changes, steps: 2 }), { base: join(base, 'runs') })
      expect(other.digests.get(1) === reference.digests.get(1)).toBe(same)
    },
    2 * MINUTES,
  )
})
