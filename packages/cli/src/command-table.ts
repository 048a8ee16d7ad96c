import type { Command } from 'commander'

/** A command's file: it adds arguments, options, an example and the action to the command of its name. */
export interface CommandModule {
  configure: (command: Command) => void
}

export interface CommandRow {
  name: string
  summary: string
  /** only the file of the command that was typed is loaded, so that help is quick */
  load: () => Promise<CommandModule>
}

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'quickstart',
    summary: 'the whole story on handwritten digits, in a few minutes',
    load: () => import('./commands/quickstart.js'),
  },
  { name: 'init', summary: 'write a recipe for a folder of pictures', load: () => import('./commands/init.js') },
  { name: 'train', summary: 'train a recipe on this machine', load: () => import('./commands/train.js') },
  { name: 'resume', summary: 'go on with a run from its newest checkpoint', load: () => import('./commands/resume.js') },
  { name: 'verify', summary: 'compute a run again and compare its digests', load: () => import('./commands/verify.js') },
  { name: 'coordinator', summary: 'train a recipe with workers that join from elsewhere', load: () => import('./commands/coordinator.js') },
  { name: 'worker', summary: 'join a coordinator and compute for it', load: () => import('./commands/worker.js') },
  { name: 'evaluate', summary: 'loss and accuracy of a checkpoint on a folder of pictures', load: () => import('./commands/evaluate.js') },
  { name: 'predict', summary: 'what a checkpoint sees in pictures', load: () => import('./commands/predict.js') },
  { name: 'pack', summary: 'pack a folder of pictures into shards', load: () => import('./commands/pack.js') },
  { name: 'datasets', summary: "make the pictures that the project's recipes train on", load: () => import('./commands/datasets.js') },
  { name: 'initialize', summary: 'write the first checkpoint of a recipe', load: () => import('./commands/initialize.js') },
  { name: 'import', summary: 'make a checkpoint of weights that another tool trained', load: () => import('./commands/import.js') },
  { name: 'export', summary: 'write the weights of a checkpoint for another tool', load: () => import('./commands/export.js') },
  {
    name: 'experiment',
    summary: "the paper's experiments, as many trainings and a report",
    load: () => import('./commands/experiment.js'),
  },
  { name: 'inspect', summary: 'describe a model, a recipe, a checkpoint or a run', load: () => import('./commands/inspect.js') },
]
