import type { Command } from 'commander'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { addExample } from '../options.js'
import { trainRecipe } from '../training/recipe-training.js'
import { addRunOptions, overridesOf, requireLocalWorkers, type RunOptions } from '../training/run-options.js'

export function configure(command: Command): void {
  command.argument('<recipe>', 'the recipe, a YAML file')
  addRunOptions(command)
    .option('--run <dir>', 'where the run is kept (default: runs/NAME, then runs/NAME-2, …)')
    .option('--dry-run', 'check and describe everything, train nothing', false)
  addExample(
    command,
    'lockstep train recipes/digits-a.yaml --workers 2',
    'lockstep train recipes/imagenet-vgg.yaml --set model.name=vgg-d --dry-run',
  )
  command.action(async (path: string, options: RunOptions) => {
    const { recipe } = await loadRecipe(path, { set: overridesOf(options, ZERO_WORKERS) })
    if (options.dryRun === true) {
      const { showDryRun } = await import('../training/dry-run.js')
      await showDryRun(recipe, options)
      return
    }
    requireLocalWorkers(recipe, path)
    await trainRecipe(recipe, options)
  })
}

const ZERO_WORKERS = 'nobody would compute; give --workers 1 or more, or let workers from elsewhere join: `lockstep coordinator RECIPE`'
