import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'

/**
 * Loaded before every measurement (bench/run.mjs): what ends it is said in a line, and Ctrl-C or a request to end is nobody's error. A measurement
 * that listens for the signal clears up first; the others end at once, and their children with them, whose input closes.
 */
if (isMainThread) {
  let asked: NodeJS.Signals | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      asked = signal
      if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal])
    })
  process.on('uncaughtException', (error) => {
    if (asked === undefined) console.error(`error: ${error.message}`)
    process.exit(asked === undefined ? 1 : 128 + constants.signals[asked])
  })
}
