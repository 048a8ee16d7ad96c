import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { StandaloneMessage, StandaloneProgress, StandaloneRequest } from './messages.js'

export interface ChildOptions {
  /** TensorFlow threads: bits depend on them. */
  readonly computeThreads: number
  /** What the child prints goes to the end of this file, never to the terminal. */
  readonly logFile: string
  readonly onProgress?: ((progress: StandaloneProgress) => void) | undefined
  /** Aborting kills the child. */
  readonly signal?: AbortSignal | undefined
}

type Answer = Exclude<StandaloneMessage, { type: 'progress' | 'failed' }>

/**
 * Has a request answered by a child process.
 * @throws TrainError whatever the child met; INTERRUPTED when the signal was aborted; DISK when there is no writing the log
 */
export async function askChild(request: StandaloneRequest, options: ChildOptions): Promise<Answer> {
  const { signal } = options
  if (signal?.aborted === true) throw interrupted(request)
  const child = startChild(options)
  const abort = (): void => {
    child.kill('SIGTERM')
  }
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await answerOf(child, request, options)
  } finally {
    signal?.removeEventListener('abort', abort)
    if (child.connected) child.disconnect()
  }
}

function startChild({ computeThreads, logFile }: ChildOptions): ChildProcess {
  const log = openLog(logFile)
  try {
    return spawn(process.execPath, [fileURLToPath(new URL('./standalone-child.js', import.meta.url))], {
      // Its own process group: Ctrl-C reaches the parent alone, which aborts the signal.
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: computeEnvironment(process.env, computeThreads),
    })
  } finally {
    closeSync(log)
  }
}

function openLog(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true })
    return openSync(path, 'a')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new TrainError('DISK', `the log file ${path} cannot be written (${reason}); free space or choose another place`, { cause: error })
  }
}

function answerOf(child: ChildProcess, request: StandaloneRequest, { logFile, onProgress, signal }: ChildOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // Settles once: whatever comes after the first outcome changes nothing.
    child.on('message', (message: StandaloneMessage) => {
      if (message.type === 'progress') onProgress?.(message.progress)
      // its answer may be on the way when it is told to end
      else if (signal?.aborted === true) reject(interrupted(request))
      else if (message.type === 'failed') reject(new TrainError(message.code, message.message))
      else resolve(message)
    })
    child.on('error', (error) => {
      reject(new TrainError('INTERNAL', `the process for ${request.kind} cannot be started: ${error.message}`, { cause: error }))
    })
    child.on('close', (code, killedBy) => {
      reject(signal?.aborted === true ? interrupted(request) : endedEarly(request, code, killedBy, logFile))
    })
    child.send(request)
  })
}

function interrupted(request: StandaloneRequest): TrainError {
  return new TrainError('INTERRUPTED', `${request.kind} was interrupted`)
}

function endedEarly(request: StandaloneRequest, code: number | null, killedBy: NodeJS.Signals | null, logFile: string): TrainError {
  if (killedBy === 'SIGKILL') {
    return new TrainError(
      'MEMORY',
      `the process for ${request.kind} was killed, as the system does when memory runs out; free some, or use a smaller batch`,
    )
  }
  const how = killedBy ?? `exit code ${String(code)}`
  return new TrainError('INTERNAL', `the process for ${request.kind} ended with ${how} before its answer; see ${logFile}`)
}
