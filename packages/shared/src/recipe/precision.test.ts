import { describe, expect, it } from 'vitest'
import { inexactness } from './inexactness.js'
import { parseRecipe } from './parsed-recipe.js'
import { recipeDigest } from './recipe-digest.js'
import { changeForResume } from './resume-changes.js'
import type { Recipe } from './schema.js'

const NARROW = ['exact=false', 'run.exchange.precision=bfloat16']

function parse(...set: string[]): Recipe {
  return parseRecipe('model: {name: vgg-a}\ndata: {train: pictures}\nsteps: 30\n', { file: '/recipes/small.yaml', set })
}

describe('run.exchange.precision', () => {
  it.each([
    [['run.exchange.precision=bfloat16'], /set exact: false, or float32/],
    [['exact=false'], /exact: false allows run.exchange.precision: bfloat16 and nothing else/],
    [[...NARROW, 'audit.share=0.1'], /audit.share must be 0/],
  ])('refuses %s', (set, message) => {
    expect(() => parse(...set)).toThrow(message)
  })

  it('counts into the digest of the recipe, where it is not float32', () => {
    expect(parse(...NARROW).run.exchange.precision).toBe('bfloat16')
    expect(recipeDigest(parse('run.exchange.precision=float32'))).toBe(recipeDigest(parse()))
    expect(recipeDigest({ ...parse(...NARROW), exact: true })).not.toBe(recipeDigest(parse()))
  })

  it('says why the result is not exact', () => {
    expect(inexactness(parse())).toBeNull()
    expect(inexactness(parse(...NARROW))).toMatch(/bfloat16/)
  })

  it('cannot change at a resume', () => {
    expect(() => changeForResume(parse(...NARROW), ['run.exchange.precision=float32'])).toThrow(/allows|cannot change/)
    expect(() => changeForResume({ ...parse(), exact: false }, ['run.exchange.precision=bfloat16'])).toThrow(/cannot change at a resume/)
  })
})
