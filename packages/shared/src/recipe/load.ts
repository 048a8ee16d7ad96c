import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { TrainError } from '../errors/train-error.js'
import { parseRecipe, recipeText } from './parsed-recipe.js'
import type { Recipe } from './schema.js'

// one door to the recipe for those that load one
export { parseRecipe, recipeText } from './parsed-recipe.js'
export { recipeDigest } from './recipe-digest.js'
export { resolveRecipe } from './resolved-recipe.js'

export interface LoadedRecipe {
  /** defaults filled, paths absolute */
  recipe: Recipe
  /** absolute path of the file */
  path: string
  /** the resolved recipe as YAML */
  text: string
}

/**
 * Reads a recipe file.
 * @throws TrainError RECIPE_INVALID (missing, unreadable, wrong; see {@link parseRecipe}), USAGE for a wrong --set
 */
export async function loadRecipe(path: string, options: { set?: readonly string[] } = {}): Promise<LoadedRecipe> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new TrainError('RECIPE_INVALID', unreadable(path, (error as NodeJS.ErrnoException).code), { cause: error })
  }
  const recipe = parseRecipe(text, { file: path, set: options.set ?? [] })
  return { recipe, path: resolve(path), text: recipeText(recipe) }
}

function unreadable(path: string, code: string | undefined): string {
  if (code === 'ENOENT') return `${path}: there is no such file; \`lockstep init FOLDER\` writes a recipe for a folder of pictures`
  if (code === 'EISDIR') return `${path} is a folder, not a recipe; \`lockstep init ${path}\` writes one for the pictures in it`
  return `${path} cannot be read (${code ?? 'unknown error'}): check its permissions`
}
