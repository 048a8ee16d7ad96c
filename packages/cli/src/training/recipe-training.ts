import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { checkListening } from './listen-check.js'
import { directoryOf, type RunOptions } from './run-options.js'
import { followTraining } from './training-run.js'

/** Trains a recipe and shows it: what `train` and `coordinator` end in. @throws what the training throws; ExitRequest after a signal */
export async function trainRecipe(recipe: Recipe, options: RunOptions): Promise<void> {
  const insecureNetwork = options.insecureNetwork === true
  await checkListening(recipe, insecureNetwork)
  const runDirectory = directoryOf(options)
  // loaded late, so that a wrong recipe is told at once
  const { train } = await import('@lockstep/coordinator/train.js')
  await followTraining(
    (signal) => train(recipe, { signal, insecureNetwork, ...(runDirectory === undefined ? {} : { runDirectory }) }),
    options,
  )
}
