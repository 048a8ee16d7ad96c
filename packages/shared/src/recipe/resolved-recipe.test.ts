import { describe, expect, it } from 'vitest'
import { divisorsOf } from './consistency.js'
import { parseRecipe } from './parsed-recipe.js'
import { resolveRecipe } from './resolved-recipe.js'
import { changeForResume } from './resume-changes.js'
import type { Recipe } from './schema.js'

function recipe(...set: string[]): Recipe {
  return parseRecipe('model: {name: vgg-a, inputSize: 32}\ndata: {train: p}\nepochs: 2\nbatch: {global: 24, micro: 4, leaf: 2}', {
    file: '/r.yaml',
    set,
  })
}

describe('a resolved recipe', () => {
  it('counts leaves, micro-batches and steps', () => {
    expect(resolveRecipe(recipe(), 100)).toEqual({
      ...{ steps: 9, leaves: 3, microBatches: 6, stepsPerEpoch: 100 / 24, evaluationEvery: 5 },
      ...{ scales: [32], shortSide: [32, 32], normalize: 'meanAndStd' },
    })
  })

  it.each<[set: string, size: number, steps: number, evaluationEvery: number]>([
    ['steps=7', 100, 7, 5],
    ['epochs=0.1', 240, 1, 10],
    ['epochs=0.3', 2400, 30, 100],
    ['evaluation.everySteps=3', 48, 4, 3],
    ['evaluation.everyEpochs=0.01', 48, 4, 1],
  ])('with %s and %i pictures', (set, size, steps, evaluationEvery) => {
    expect(resolveRecipe(recipe(set), size)).toMatchObject({ steps, evaluationEvery })
  })

  it('is refused when the batch of a recipe made in code does not divide', () => {
    const made = { ...recipe(), batch: { global: 24, micro: 5, leaf: 1 } }
    expect(() => resolveRecipe(made, 100)).toThrow(/micro can be 1, 2, 3, 4, 6, 8, 12 or 24/)
  })

  it.each([
    [1, [1]],
    [12, [1, 2, 3, 4, 6, 12]],
    [49, [1, 7, 49]],
  ])('the divisors of %i', (n, divisors) => {
    expect(divisorsOf(n)).toEqual(divisors)
  })
})

describe('a resume', () => {
  it.each<[set: string, read: (changed: Recipe) => unknown, value: unknown]>([
    ['run.workers.count=5', (changed) => changed.run.workers.count, 5],
    ['epochs=3', (changed) => changed.epochs, 3],
  ])('may change %s', (set, read, value) => {
    expect(read(changeForResume(recipe(), [set]))).toBe(value)
  })

  it.each<[set: string, message: RegExp]>([
    ['seed=2', /can change only run\.\* and raise steps; to change seed, start another run/],
    ['epochs=1', /can only raise epochs, from 2/],
    ['steps=100', /counts in epochs/],
    ['run.workers.cout=5', /unknown key "cout" in run\.workers; did you mean "count"\?/],
  ])('may not change %s', (set, message) => {
    expect(() => changeForResume(recipe(), [set])).toThrow(message)
  })

  it('may not bend a cosine', () => {
    expect(() => changeForResume(recipe('learningRate.schedule={type: cosine}'), ['epochs=3'])).toThrow(/cosine/)
  })
})
