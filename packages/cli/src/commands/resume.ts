import type { Command } from 'commander'
import { addExample } from '../options.js'
import { addRunOptions, overridesOf, type RunOptions } from '../training/run-options.js'
import { followTraining } from '../training/training-run.js'

export function configure(command: Command): void {
  command
    .description(
      'Go on with a run from its newest whole checkpoint, with any number of workers. --set may change run.* and raise steps or epochs.',
    )
    .argument('[run]', 'the folder of the run (default: the newest)')
  addRunOptions(command)
  addExample(command, 'lockstep resume runs/digits --workers 4')
  command.action(async (run: string | undefined, options: RunOptions) => {
    const set = overridesOf(options, undefined)
    const { resume } = await import('@lockstep/coordinator/train.js')
    await followTraining((signal) => resume(run, { set, signal, insecureNetwork: options.insecureNetwork === true }), options)
  })
}
