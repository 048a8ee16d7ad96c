import { TrainError } from '../errors/train-error.js'
import { inconsistencies } from './consistency.js'
import { applyOverrides, parseOverride } from './overrides.js'
import { problemsOf } from './problems.js'
import { recipeSchema, type Recipe } from './schema.js'

/**
 * The recipe of a run with the changes a resume allows: anything under `run`, and a larger `steps` (or `epochs`, whichever the recipe has).
 * @throws TrainError RECIPE_INVALID naming the key that may not change
 */
export function changeForResume(recipe: Recipe, set: readonly string[]): Recipe {
  const overrides = set.map(parseOverride)
  for (const { path, value, text } of overrides) {
    if (path[0] === 'run') continue
    if (path.length !== 1 || (path[0] !== 'steps' && path[0] !== 'epochs')) {
      throw new TrainError(
        'RECIPE_INVALID',
        `--set ${text}: a resume can change only run.* and raise steps; to change ${path.join('.')}, start another run`,
      )
    }
    const before = recipe[path[0]]
    if (before === undefined) {
      throw new TrainError('RECIPE_INVALID', `--set ${text}: this run counts in ${path[0] === 'steps' ? 'epochs' : 'steps'}: raise those`)
    }
    if (typeof value === 'number' && value < before) {
      throw new TrainError('RECIPE_INVALID', `--set ${text}: a resume can only raise ${path[0]}, from ${String(before)}`)
    }
    if (recipe.learningRate.schedule.type === 'cosine' && value !== before) {
      throw new TrainError(
        'RECIPE_INVALID',
        `--set ${text}: a cosine learning rate depends on the number of steps; start another run from the checkpoint with initialization.from`,
      )
    }
  }
  const root = applyOverrides(recipe, overrides)
  const parsed = recipeSchema.safeParse(root)
  const problem = parsed.success ? inconsistencies(parsed.data)[0] : problemsOf(parsed.error.issues, root)[0]
  if (!parsed.success || problem !== undefined)
    throw new TrainError('RECIPE_INVALID', `--set ${set.join(' --set ')}: ${problem?.message ?? 'not a recipe'}`)
  if (parsed.data.run.exchange.precision !== recipe.run.exchange.precision) {
    throw new TrainError(
      'RECIPE_INVALID',
      `--set ${set.join(' --set ')}: run.exchange.precision changes the result and cannot change at a resume; start another run from the checkpoint with initialization.from`,
    )
  }
  return parsed.data
}
