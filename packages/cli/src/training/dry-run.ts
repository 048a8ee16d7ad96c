import { OWN } from '@lockstep/shared/models/families.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { describeRecipe } from '../inspection/recipe-description.js'
import { networkLines } from '../inspection/network-table.js'
import { recipeLines } from '../inspection/recipe-lines.js'
import { writeLine } from '../terminal/output.js'

/** Describes what a training would do. Missing data is a note. @throws TrainError RECIPE_INVALID, DATA_CORRUPT */
export async function showDryRun(given: Recipe, { json }: { json: boolean }): Promise<void> {
  const { description, network, resolved, recipe, notes } = await describeRecipe(given)
  if (json) {
    writeLine(JSON.stringify({ type: 'dryRun', ...description, recipe }))
    return
  }
  for (const line of recipeLines(recipe, description, resolved, network)) writeLine(line)
  if (network.name === OWN) for (const line of ['', ...networkLines(network), ...notes.map((note) => `note: ${note}`)]) writeLine(line)
  writeLine(`\nnothing was trained (--dry-run); the recipe is good${description.data.found ? '' : ', its data is missing'}`)
}
