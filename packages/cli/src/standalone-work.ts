import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { ExitRequest } from './failure.js'
import { Interruption } from './interruption.js'
import { writeError } from './terminal/output.js'

/**
 * A log file for work without a run: below the user's state directory (XDG Base Directory Specification).
 * @throws TrainError DISK
 */
export function newLogFile(what: string): string {
  const { XDG_STATE_HOME: state } = process.env
  const directory = join(state === undefined || state === '' ? join(homedir(), '.local', 'state') : state, 'lockstep')
  try {
    mkdirSync(directory, { recursive: true })
  } catch (error) {
    throw new TrainError('DISK', `cannot make ${directory} for the log: make it writable, or set XDG_STATE_HOME to another folder`, {
      cause: error,
    })
  }
  return join(directory, `${what}-${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${String(process.pid)}.log`)
}

/** Work that Ctrl-C ends, with nothing to save. @throws ExitRequest 130 or 143 after a signal, else what the work throws */
export async function interruptibleWork<T>(work: (signal: AbortSignal) => Promise<T>, announcement = 'stopping'): Promise<T> {
  const interruption = new Interruption((line) => writeError(line), announcement)
  try {
    return await work(interruption.signal)
  } catch (error) {
    const isStop = (error instanceof TrainError && error.code === 'INTERRUPTED') || (error instanceof Error && error.name === 'AbortError')
    if (interruption.exitCode !== undefined && isStop) throw new ExitRequest(interruption.exitCode)
    throw error
  } finally {
    interruption.end()
  }
}
