import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { parseArgs } from 'node:util'
import { isHung, runWorker, type WorkerOptions } from './run-worker.js'

/**
 * The worker process, as the coordinator starts it:
 * node main.js --join HOST:PORT [--data DIR] [--name N] [--compute-threads N] [--insecure-network]
 *   [--reconnect-seconds N] [--lifeline stdin]
 * Exit codes: 0 the run is over, 1 failure, 2 wrong usage, 130 and 143 after SIGINT and SIGTERM.
 */

/** After a signal the worker gives back what it has in hand; it does not wait longer than this. */
const GOODBYE_MS = 3000
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const

interface Arguments extends WorkerOptions {
  readonly lifeline: boolean
}

/** @throws TrainError USAGE */
function parseArguments(words: string[]): Arguments {
  const { values } = parse(words)
  if (values.join === undefined) throw new TrainError('USAGE', '--join HOST:PORT is missing: the coordinator prints it when it starts')
  const computeThreads = Number(values['compute-threads'])
  if (!Number.isInteger(computeThreads) || computeThreads < 1) {
    throw new TrainError('USAGE', `--compute-threads ${values['compute-threads']}: give a whole number of at least 1`)
  }
  if (values.lifeline !== undefined && values.lifeline !== 'stdin')
    throw new TrainError('USAGE', `--lifeline ${values.lifeline}: only stdin is known`)
  const reconnectSeconds = Number(values['reconnect-seconds'])
  if (!(reconnectSeconds >= 0))
    throw new TrainError('USAGE', `--reconnect-seconds ${values['reconnect-seconds']}: give a number of seconds`)
  return {
    ...{ join: values.join, data: values.data, name: values.name, computeThreads, reconnectMs: reconnectSeconds * 1000 },
    insecureNetwork: values['insecure-network'],
    lifeline: values.lifeline === 'stdin',
  }
}

function parse(words: string[]) {
  try {
    return parseArgs({
      args: words,
      options: {
        join: { type: 'string' },
        data: { type: 'string' },
        name: { type: 'string' },
        'compute-threads': { type: 'string', default: '1' },
        'insecure-network': { type: 'boolean', default: false },
        'reconnect-seconds': { type: 'string', default: '60' },
        lifeline: { type: 'string' },
      },
    })
  } catch (error) {
    throw new TrainError('USAGE', error instanceof Error ? error.message : String(error))
  }
}

/** Ends with whoever holds the other end of standard input, at once: there is nothing to save in a worker. */
function holdLifeline(): void {
  const cut = (): void => {
    process.stderr.write('the coordinator is gone: this worker ends\n')
    // not process.exit: that waits for the compute thread, which may be in the middle of a long operation
    process.kill(process.pid, 'SIGKILL')
  }
  process.stdin.on('end', cut)
  process.stdin.on('close', cut)
  process.stdin.on('error', cut)
  process.stdin.resume()
}

async function main(): Promise<number> {
  const options = parseArguments(process.argv.slice(2))
  if (options.lifeline) holdLifeline()
  const stop = new AbortController()
  let exitCode = 0
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (exitCode !== 0) process.exit(code) // the second time: now
      exitCode = code
      stop.abort()
      setTimeout(() => process.exit(code), GOODBYE_MS).unref()
    })
  }
  await runWorker(options, stop.signal)
  return exitCode
}

function fatal(error: unknown): number {
  const isKnown = error instanceof TrainError
  process.stderr.write(`${isKnown ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  // process.exit would wait for a thread that never ends
  if (isHung(error)) process.kill(process.pid, 'SIGKILL')
  return isKnown && error.code === 'USAGE' ? 2 : 1
}

process.on('uncaughtException', (error) => {
  process.exit(fatal(error))
})

process.exit(await main().catch(fatal))
