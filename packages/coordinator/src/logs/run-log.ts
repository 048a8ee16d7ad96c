import { openSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pino, type Logger } from 'pino'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { Redaction } from './redaction.js'

/** A log of one run: pino's JSON lines in one file, without passwords. */
export interface RunLog {
  readonly logger: Logger
  /** Announce passwords here; addresses are recognised by themselves. */
  readonly redaction: Redaction
  /** Writes what is buffered and closes the file; later lines are dropped. */
  close(): Promise<void>
}

/** Object keys whose values are never written, whatever they hold. */
const SECRET_KEYS = ['password', 'secret', 'token', 'authorization']

/** What goes into a run's log: LOCKSTEP_LOG_LEVEL (debug tells of every span), info by default. */
export function logLevel({ LOCKSTEP_LOG_LEVEL: level = '' }: NodeJS.ProcessEnv): string {
  return level in pino.levels.values ? level : 'info'
}

/**
 * Opens a run's log. Writing is asynchronous: a slow disk never holds up a step.
 * @param file appended to, made with its folder if missing
 * @throws TrainError DISK
 */
export async function openRunLog(file: string, options: { level?: string; redaction?: Redaction } = {}): Promise<RunLog> {
  const redaction = options.redaction ?? new Redaction()
  let descriptor: number
  try {
    await mkdir(dirname(file), { recursive: true })
    // opened here: a destination that could not open its file throws once more when the process ends
    descriptor = openSync(file, 'a', 0o640)
  } catch (error) {
    throw unwritable(file, error)
  }
  const destination = pino.destination({ dest: descriptor, sync: false })
  // A log that cannot be written (disk full) must not end a training that goes well.
  destination.on('error', () => undefined)
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '***' },
      hooks: { streamWrite: (line) => redaction.redact(line) },
    },
    destination,
  )
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= new Promise((resolve) => {
      logger.level = 'silent'
      destination.once('close', resolve)
      destination.once('error', () => {
        destination.destroy()
      })
      destination.end()
    }))
  return { logger, redaction, close }
}

function unwritable(file: string, cause: unknown): TrainError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new TrainError('DISK', `cannot write the log ${file} (${reason}): make the folder writable, or choose another with --run`, {
    cause,
  })
}
