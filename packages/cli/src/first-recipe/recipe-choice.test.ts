import { describe, expect, it } from 'vitest'
import { parseRecipe } from '@lockstep/shared/recipe/load.js'
import type { PictureFacts } from './picture-facts.js'
import { chooseRecipe } from './recipe-choice.js'
import { firstRecipeText } from './recipe-text.js'

function facts(pictures: number, medianShortSide: number, validation: string | null = null): PictureFacts {
  return { train: '/pictures', validation, classes: ['a', 'b'], pictures, smallestClass: Math.floor(pictures / 2), medianShortSide }
}

describe('a first recipe', () => {
  it.each<[pictures: number, side: number, inputSize: number, width: number, global: number]>([
    [40, 36, 32, 0.25, 8],
    [10_000, 28, 32, 0.25, 128],
    [3_000, 72, 64, 0.25, 128],
    [20_000, 128, 128, 0.5, 128],
    [1_281_167, 375, 224, 1, 128],
    [2, 500, 224, 0.25, 8],
  ])('for %i pictures of %i pixels', (pictures, side, inputSize, width, global) => {
    const choice = chooseRecipe(facts(pictures, side), { model: 'vgg-a', cores: 2 })
    expect(choice).toMatchObject({ inputSize, width, global })
    expect(choice.global % choice.micro).toBe(0)
    expect(choice.workers).toBeLessThanOrEqual(choice.global / choice.micro)
  })

  it.each([facts(40, 36), facts(100_000, 300, '/pictures/validation')])('is one that the schema takes and editors complete', (fact) => {
    const choice = chooseRecipe(fact, { model: 'vgg-d', cores: 4 })
    const text = firstRecipeText(choice, fact, { schema: '/schema.json', directory: '/', name: 'mine' })
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=/schema.json')
    expect(parseRecipe(text, { file: '/mine.yaml' })).toMatchObject({
      name: 'mine',
      model: { name: 'vgg-d' },
      data: { train: '/pictures' },
    })
  })

  it.each([
    ['resnet-50', 32, { width: 0.25, fullyConnected: [], head: 'globalAveragePooling' }],
    ['alexnet', 67, { width: 0.25, fullyConnected: [256, 256] }],
    ['small-cnn', 28, { width: 1, fullyConnected: [64] }],
  ] as const)('of %s says nothing that does not fit it', (model, inputSize, expected) => {
    const fact = facts(40, 36)
    const text = firstRecipeText(chooseRecipe(fact, { model, cores: 2 }), fact, { schema: '/s.json', directory: '/', name: 'r' })
    expect(parseRecipe(text, { file: '/r.yaml' }).model).toMatchObject({ name: model, inputSize, ...expected })
  })

  it('quotes a path that YAML would misread', () => {
    const fact = { ...facts(40, 36), train: '/my: pictures #1' }
    const text = firstRecipeText(chooseRecipe(fact, { model: 'vgg-a', cores: 1 }), fact, { schema: '/s.json', directory: '/', name: 'r' })
    expect(parseRecipe(text, { file: '/r.yaml' }).data.train).toBe('/my: pictures #1')
  })
})
