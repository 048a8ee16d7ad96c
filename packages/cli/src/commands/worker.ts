import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { addExample, addJsonOption, parseAddress, wholeNumber } from '../options.js'
import { ExitRequest } from '../failure.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { DEFAULT_PORT } from '../training/run-options.js'
import { runWorkerProcess } from '../training/worker-process.js'

interface WorkerCommandOptions {
  join: string
  data?: string
  name?: string
  computeThreads: number
  insecureNetwork: boolean
  json: boolean
}

export function configure(command: Command): void {
  command.description('Join a coordinator and compute for it until the run is over. One process a core, or a GPU, is a good measure.')
  command
    .requiredOption(
      '--join <host[:port]>',
      `where the coordinator listens; it prints this when it starts (port: ${String(DEFAULT_PORT)} when left out)`,
    )
    .option('--data <dir>', 'where this machine has the pictures, found by digest (default: the paths of the recipe)')
    .option('--name <name>', 'a name for people (default: host and process id)')
    .option('--compute-threads <count>', 'TensorFlow threads; must be the same for all workers of a run', wholeNumber(1), 1)
    .option('--insecure-network', 'allow a coordinator on another machine without encryption', false)
  addJsonOption(command, 'print the log as JSON lines')
  addExample(command, 'lockstep worker --join 10.0.0.5:7070 --data /data/shards --insecure-network')
  command.action(async (options: WorkerCommandOptions) => {
    if (options.computeThreads > availableParallelism()) {
      throw new TrainError(
        'USAGE',
        `--compute-threads ${String(options.computeThreads)}: this machine has ${String(availableParallelism())} cores; give that many or fewer`,
      )
    }
    const { host, port } = parseAddress(options.join, '--join', { host: '127.0.0.1', port: DEFAULT_PORT })
    const address = `${host.includes(':') ? `[${host}]` : host}:${String(port)}`
    const exitCode = await runWorkerProcess({ ...options, join: address })
    if (exitCode !== 0) throw new ExitRequest(exitCode)
  })
}
