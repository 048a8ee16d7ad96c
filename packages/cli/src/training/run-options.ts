import { resolve } from 'node:path'
import type { Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { addJsonOption, addSetOption, parseAddress } from '../options.js'

/** Where `coordinator` listens and `worker --join HOST` looks when no port is said. */
export const DEFAULT_PORT = 7070

/** What train, resume and coordinator have in common on the command line. */
export interface RunOptions {
  set: string[]
  workers?: string
  run?: string
  listen?: string
  insecureNetwork?: boolean
  dryRun?: boolean
  json: boolean
}

export function addRunOptions(command: Command, port = 0): Command {
  command
    .option('--workers <count>', 'local workers to start (the same as --set run.workers.count=…)')
    .option(
      '--listen <host:port>',
      'where workers from elsewhere join (default: 127.0.0.1 and ' + (port === 0 ? 'any free port)' : `port ${String(port)})`),
    )
    .option('--insecure-network', 'allow listening beyond this machine without encryption', false)
  addSetOption(command)
  return addJsonOption(command, 'print events as JSON lines instead of text')
}

/**
 * The overrides that the options stand for, those of --set first.
 * @param zeroWorkers what the command says to 0 workers; undefined where 0 is fine
 * @param port what --listen without a port stands for
 * @throws TrainError USAGE
 */
export function overridesOf(options: RunOptions, zeroWorkers: string | undefined, port = 0): string[] {
  const set = [...options.set]
  if (options.workers !== undefined) {
    const workers = Number(options.workers)
    if (!/^-?\d+$/.test(options.workers) || workers < 0)
      throw new TrainError('USAGE', `--workers ${options.workers}: expected a whole number, such as 2`)
    if (workers === 0 && zeroWorkers !== undefined) throw new TrainError('USAGE', `--workers 0: ${zeroWorkers}`)
    set.push(`run.workers.count=${String(workers)}`)
  }
  if (options.listen !== undefined) {
    const address = parseAddress(options.listen, '--listen', { host: '127.0.0.1', port })
    set.push(`run.listen.host="${address.host}"`, `run.listen.port=${String(address.port)}`)
  }
  return set
}

export function directoryOf(options: RunOptions): string | undefined {
  return options.run === undefined ? undefined : resolve(options.run)
}

/** `train` starts its workers itself. @throws TrainError RECIPE_INVALID for a recipe that wants none */
export function requireLocalWorkers(recipe: Recipe, path: string): void {
  if (recipe.run.workers.count > 0) return
  throw new TrainError(
    'RECIPE_INVALID',
    `${path}: run.workers.count is 0, so nobody would compute: say --workers 2, or start \`lockstep coordinator ${path}\` and let workers join`,
  )
}
