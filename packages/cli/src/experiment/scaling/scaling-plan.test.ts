import { describe, expect, it } from 'vitest'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'
import {
  digestStep,
  leavesOf,
  measuredRecipe,
  planSamples,
  requireEnoughLeaves,
  requireMeasurableKeys,
  scalingCommand,
} from './scaling-plan.js'

const recipe = recipeSchema.parse({
  model: { name: 'vgg-a' },
  data: { train: '/pictures', validation: { split: 0.1 } },
  batch: { global: 64, micro: 16 },
  epochs: 3,
  evaluation: { everyEpochs: 1, protocol: 'center' },
  run: { workers: { count: 2, maximum: 3 }, checkpoint: { everySteps: 10, keep: 2 } },
})

describe('the plan of a scaling experiment', () => {
  it('has every count once a round, every second round backwards, on other cores every round', () => {
    const plan = planSamples({ workers: [1, 2, 4], repetitions: 2 }, 1, [3, 5, 7])
    expect(plan).toEqual([
      { round: 1, workers: 1, cores: [3] },
      { round: 1, workers: 2, cores: [3, 5] },
      { round: 1, workers: 4, cores: [3, 5, 7] },
      { round: 2, workers: 4, cores: [3, 5, 7] },
      { round: 2, workers: 2, cores: [5, 7] },
      { round: 2, workers: 1, cores: [5] },
    ])
  })

  it('gives a worker as many cores as it has threads, and none where nothing can be confined', () => {
    expect(planSamples({ workers: [2], repetitions: 1 }, 2, [0, 1, 2, 3, 4])[0]?.cores).toEqual([0, 1, 2, 3])
    expect(planSamples({ workers: [2], repetitions: 1 }, 2, null)[0]?.cores).toBeNull()
  })

  it('changes the recipe in nothing that touches the weights, and lets nothing but steps happen', () => {
    const measured = measuredRecipe(recipe, 4, { warmUpSteps: 2, steps: 3 })
    expect(digestStep({ warmUpSteps: 2, steps: 3 })).toBe(6)
    expect(measured.run.workers).toMatchObject({ count: 4, minimum: 4, maximum: 4 })
    expect(measured.run.checkpoint).toMatchObject({ digestEverySteps: 6, keep: 2 })
    for (const far of [measured.steps, measured.evaluation.everySteps, measured.run.checkpoint.everySteps])
      expect(far).toBeGreaterThan(1000)
    expect(measured).not.toHaveProperty('epochs')
    expect(measured.evaluation).not.toHaveProperty('everyEpochs')
    const { model, data, batch, optimizer, learningRate, initialization, seed } = recipe
    expect(measured).toMatchObject({ model, data, batch, optimizer, learningRate, initialization, seed })
    expect(recipeSchema.parse(JSON.parse(JSON.stringify(measured)))).toEqual(measured)
  })

  it('refuses more workers than leaves, and keys that it sets itself', () => {
    expect(leavesOf(recipe)).toBe(4)
    expect(() => {
      requireEnoughLeaves(recipe, [1, 4])
    }).not.toThrow()
    expect(() => {
      requireEnoughLeaves(recipe, [1, 5])
    }).toThrow(/4 leaves \(batch\.global 64 \/ \(micro 16 · leaf 1\)\), too few for 5 workers/)
    expect(() => {
      requireMeasurableKeys(['seed=3', 'run.workers.computeThreads=2'])
    }).not.toThrow()
    expect(() => {
      requireMeasurableKeys(['run.workers.count=2'])
    }).toThrow(/say --workers/)
    expect(() => {
      requireMeasurableKeys(['run.checkpoint={}'])
    }).toThrow(/nothing is saved/)
  })

  it('knows the command that repeats it', () => {
    const settings = { recipe: 'my recipe.yaml', workers: [1, 2], repetitions: 3, steps: 4, warmUpSteps: 1, set: ['batch.global=8'] }
    expect(scalingCommand(settings)).toBe(
      "lockstep experiment scaling 'my recipe.yaml' --workers 1,2 --repetitions 3 --steps 4 --warm-up 1 --set batch.global=8",
    )
  })
})
