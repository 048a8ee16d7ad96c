import { describe, expect, it } from 'vitest'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { recipeFile } from '../project-folders.js'
import { completeSettings, pictureSettings, presetRecipe, requireFreeKeys } from './experiment-settings.js'

describe('settings', () => {
  it('have defaults, and what was said counts', () => {
    expect(completeSettings({})).toMatchObject({ data: 'digits', preset: 'fast', set: [] })
    expect(completeSettings({ preset: 'full' }).seeds.length).toBeGreaterThan(1)
    expect(completeSettings({ seeds: [9], beginnings: ['he'] })).toMatchObject({ seeds: [9], beginnings: ['he'] })
  })

  it.each([
    ['seed=5', /say --seeds/],
    ['model.name=vgg-d', /say --configurations/],
    ['initialization.method=he', /say --initializations/],
    ['initialization={method: he}', /say --initializations/],
    ['data.train=x', /say --data/],
  ])('refuse --set %s', (set, remedy) => {
    expect(() => requireFreeKeys(['steps=3', set])).toThrow(remedy)
  })

  it.each(['steps=5', 'model.width=0.5', 'data.augment.flip=true', 'run.workers.count=1'])('leave --set %s alone', (set) => {
    expect(() => requireFreeKeys([set])).not.toThrow()
  })

  it.each([
    ['digits', 'fast', 32, false],
    ['digits', 'full', 32, false],
    ['emoji', 'full', 64, true],
    ['/some/pictures', 'full', 224, false],
  ] as const)('of %s, preset %s, make a recipe of %i pixels', async (data, preset, inputSize, flip) => {
    const set = pictureSettings({ data, preset, set: [] }, { train: '/t: [1]', validation: null })
    const { recipe } = await loadRecipe(recipeFile(presetRecipe(preset)), { set })
    expect(recipe).toMatchObject({ model: { inputSize }, data: { train: '/t: [1]', validation: { split: 0.1 }, augment: { flip } } })
    // another rule for normal initialization would change more than the first weights
    expect(recipe.data.normalize).toBe('meanAndStd')
  })
})
