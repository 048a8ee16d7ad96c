import { describe, expect, it } from 'vitest'
import { networkOf } from '../models/network.js'
import { parseRecipe } from './parsed-recipe.js'
import { recipeSchema, type Recipe } from './schema.js'
import { withTargets } from './targets.js'

const recipe = recipeSchema.parse({ model: { name: 'small-cnn', task: 'regression' }, data: { train: 'pictures' }, steps: 1 })
const targetsOf = (...classes: string[]): Recipe['model']['targets'] => withTargets(recipe, classes).model.targets

describe('the values of a regression', () => {
  it('are the names of the class folders, in their order', () => {
    expect(targetsOf('-2', '0.5', '10', '1e-3', '9')).toEqual([-2, 0.5, 10, 0.001, 9])
    const network = networkOf(withTargets(recipe, ['3', '7', '8']).model, 3)
    expect(network).toMatchObject({ task: 'regression', targets: [3, 7, 8], classes: 3 })
    expect(network.layers.at(-1)).toMatchObject({ name: 'predictions', units: 1, activation: 'linear' })
    const classes = recipeSchema.parse({ ...recipe, model: { name: 'small-cnn' } })
    expect(withTargets(classes, ['cat'])).toBe(classes)
  })

  it.each(['cat', '', '0x10', 'Infinity', '1e999', '1,5', '1.', '12 kg'])('cannot be read from a folder called "%s"', (name) => {
    expect(() => targetsOf('1', name)).toThrow(/the folder ".*" of pictures is not called a number; name each folder after the value/)
  })

  it('are one a folder', () => {
    expect(() => targetsOf('1', '2', '1.0')).toThrow(
      /the folders "1" and "1\.0" of pictures are the same number; put their pictures together/,
    )
  })
})

describe('what speaks of classes', () => {
  const parse = (more: string, task = 'regression'): Recipe =>
    parseRecipe(`model: {name: small-cnn, task: ${task}}\ndata: {train: p}\nsteps: 1\n${more}`, { file: '/r.yaml' })

  it.each([
    ['loss: {labelSmoothing: 0.1}', /loss\.labelSmoothing is for classes/],
    ['learningRate: {schedule: {type: plateau}}', /schedule\.monitor cannot be top1 in a regression, which learns a value; set it to loss/],
    ['learningRate: {schedule: {type: plateau, monitor: top5}}', /set it to loss/],
  ])('is refused: %s', (more, message) => {
    expect(() => parse(more)).toThrow(message)
    expect(() => parse(more, 'classes')).not.toThrow()
  })

  it('has no values', () => {
    expect(() => parseRecipe('model: {name: small-cnn, targets: [1]}\ndata: {train: p}\nsteps: 1', { file: '/r.yaml' })).toThrow(
      /only a regression has them/,
    )
    expect(parse('learningRate: {schedule: {type: plateau, monitor: loss}}').model.task).toBe('regression')
  })
})
