import { TrainError } from '../errors/train-error.js'
import type { Recipe } from './schema.js'

/**
 * The recipe of a regression with the value of every class in it, which is the number that its folder is called; any other recipe as it is.
 * @param classes names of the class folders, in their order
 * @throws TrainError DATA_MISSING naming a folder that is called otherwise, or two that mean the same
 */
export function withTargets(recipe: Recipe, classes: readonly string[]): Recipe {
  if (recipe.model.task !== 'regression') return recipe
  const folders = new Map<number, string>()
  for (const name of classes) {
    const value = valueOf(name)
    if (value === undefined)
      throw refused(
        `the folder "${name}" of ${recipe.data.train} is not called a number`,
        'name each folder after the value of its pictures, as in 0.5 or 17',
      )
    const other = folders.get(value)
    if (other !== undefined)
      throw refused(`the folders "${other}" and "${name}" of ${recipe.data.train} are the same number`, 'put their pictures together')
    folders.set(value, name)
  }
  return { ...recipe, model: { ...recipe.model, targets: [...folders.keys()] } }
}

/** Decimal, with a sign and an exponent where need be; 0x10, Infinity and an empty name are none. */
function valueOf(name: string): number | undefined {
  return /^[-+]?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(name) && Number.isFinite(Math.fround(Number(name))) ? Number(name) : undefined
}

function refused(what: string, remedy: string): TrainError {
  return new TrainError('DATA_MISSING', `model.task: in a regression ${what}; ${remedy}`)
}
