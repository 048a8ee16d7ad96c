import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCheckpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawFolder } from './support/picture-folder.js'
import { killingOneWorkerAt } from './support/killed-worker.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/**
 * The claim of the project where micro-batches leave something behind: a narrow ResNet-18, whose batch statistics are state, on
 * real processes, with all augmentations on. Two micro-batches a leaf, so that statistics are added within a leaf as well.
 */
const MINUTES = 60_000

let base: string
let pictures: string
let reference: Trained

function residualRecipe(workers: number, changes: Parameters<typeof recipeOf>[1] = {}): Recipe {
  return recipeOf(pictures, {
    ...{ workers, steps: 12, model: { name: 'resnet-18', width: 0.125, inputSize: 32 } },
    ...{ batch: { global: 32, micro: 4, leaf: 2 }, learningRate: { initial: 0.05, schedule: { type: 'steps', at: [8], factor: 0.1 } } },
    ...{ evaluation: { everySteps: 6, batch: 16 }, run: runOf(workers) },
    ...changes,
  })
}

const runOf = (workers: number, minimum = workers): Recipe['run'] =>
  recipeOf(pictures, {
    run: { workers: { count: workers, minimum }, checkpoint: { everySteps: 4, keep: 5, digestEverySteps: 1 } },
  }).run

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-residual-'))
  pictures = await drawFolder(join(base, 'pictures'), 40)
  reference = await trainToEnd(residualRecipe(1), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

function proof({ digests, summary, events }: Trained): unknown {
  const { stateDigest, weightsDigest, top1 } = summary
  const losses = events.flatMap((event) => (event.type === 'evaluation' ? [event.loss] : []))
  return { steps: [...digests], stateDigest, weightsDigest, top1, losses }
}

/** The moving statistics of a normalization in the checkpoint after so many steps. */
async function statisticsAt(step: number): Promise<Float32Array[]> {
  const checkpoint = await openCheckpoint(join(reference.directory, 'checkpoints', `step-${String(step).padStart(8, '0')}.safetensors`))
  try {
    await checkpoint.verify()
    expect([...checkpoint.tensors.keys()].filter((name) => /^velocity\/.*moving/.test(name))).toEqual([])
    return await Promise.all(['moving_mean', 'moving_variance'].map(async (name) => await checkpoint.read(`conv3_block1_1_bn/${name}`)))
  } finally {
    await checkpoint.close()
  }
}

describe('the reference itself proves something', () => {
  it('has finite, falling losses, another state at every step, and drops the rate', () => {
    const { losses, digests, events } = reference
    expect(losses).toHaveLength(12)
    expect(losses.every(Number.isFinite)).toBe(true)
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(losses.slice(-4))).toBeLessThan(mean(losses.slice(0, 4)))
    expect(new Set(digests.values()).size).toBe(12)
    expect(events.find(({ type }) => type === 'learningRateDropped')).toMatchObject({ step: 8 })
  })

  it('moves its statistics from where they start, step by step', async () => {
    const [early, late] = [await statisticsAt(4), await statisticsAt(8)]
    for (const [at, kind] of ['mean', 'variance'].entries()) {
      expect(early[at], kind).not.toEqual(late[at])
      // A mean over half of the micro-batches would double the variance in each of the eight steps: from 1 to more than 256.
      for (const values of [early[at], late[at]]) expect(values?.every((value) => Math.abs(value) < 100 && value !== at)).toBe(true)
    }
    // Each step keeps nine tenths of the variance and adds what is not negative; a mean over too many micro-batches keeps less.
    expect(early[1]?.every((value) => value >= 0.9 ** 4 * 0.9999)).toBe(true)
    expect(late[1]?.every((value) => value >= 0.9 ** 8 * 0.9999)).toBe(true)
  })
})

describe('the same bits', () => {
  it.each([2, 3])(
    'with %i workers',
    async (workers) => {
      const trained = await trainToEnd(residualRecipe(workers), { base: join(base, 'runs') })
      expect(trained.summary.workers).toBe(workers)
      expect(proof(trained)).toEqual(proof(reference))
    },
    3 * MINUTES,
  )

  it(
    'when one of two workers is killed with SIGKILL',
    async () => {
      const trained = await trainToEnd(residualRecipe(2, { run: runOf(2, 1) }), { base: join(base, 'runs') }, killingOneWorkerAt(3))
      expect(trained.summary.faults).toMatchObject({ workerLost: 1 })
      expect(proof(trained)).toEqual(proof(reference))
    },
    3 * MINUTES,
  )
})
