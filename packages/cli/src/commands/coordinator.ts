import type { Command } from 'commander'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { addExample } from '../options.js'
import { trainRecipe } from '../training/recipe-training.js'
import { addRunOptions, DEFAULT_PORT, overridesOf, type RunOptions } from '../training/run-options.js'

export function configure(command: Command): void {
  command
    .description(
      'Train a recipe with workers that join from elsewhere: starts none itself unless --workers says so, and waits for run.workers.minimum of them.',
    )
    .argument('<recipe>', 'the recipe, a YAML file')
  addRunOptions(command, DEFAULT_PORT).option('--run <dir>', 'where the run is kept (default: runs/NAME, then runs/NAME-2, …)')
  addExample(
    command,
    'lockstep coordinator recipe.yaml --listen 0.0.0.0:7070 --insecure-network',
    'lockstep worker --join 10.0.0.5:7070 --insecure-network      # on every other machine',
  )
  command.action(async (path: string, options: RunOptions) => {
    const set = overridesOf({ ...options, workers: options.workers ?? '0' }, undefined, DEFAULT_PORT)
    const loaded = await loadRecipe(path, { set })
    // a port that nobody chose is the one that `worker --join HOST` tries
    const isChosen = options.listen !== undefined || loaded.recipe.run.listen.port !== 0
    const { recipe } = isChosen ? loaded : await loadRecipe(path, { set: [...set, `run.listen.port=${String(DEFAULT_PORT)}`] })
    await trainRecipe(recipe, options)
  })
}
