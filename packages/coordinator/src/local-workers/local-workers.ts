import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import { firstCause } from './first-cause.js'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'

/** The worker's program. The coordinator does not import the worker; it only knows where it lies. */
const WORKER_PROGRAM = fileURLToPath(new URL('../../../worker/dist/main.js', import.meta.url))
/** Of a log's end, this much is searched for the reason. */
const TAIL_BYTES = 16 * 1024

export interface LocalWorker {
  readonly name: string
  readonly pid: number
  readonly logFile: string
  /** SIGKILL, now; {@link LocalWorkers.onExit} tells when it is gone. */
  kill(): void
}

/** How a local worker ended. */
export interface LocalWorkerExit {
  readonly name: string
  readonly pid: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The reason as its log gives it, or what its signal means; may be empty. */
  readonly cause: string
  /** Its log's last lines, oldest first. */
  readonly lastLines: readonly string[]
  readonly logFile: string
  /** Whether {@link LocalWorkers.stopAll} or {@link LocalWorker.kill} asked for it. */
  readonly asked: boolean
}

export interface LocalWorkersOptions {
  /** HOST:PORT of the coordinator. */
  readonly join: string
  readonly logDirectory: string
  readonly computeThreads: number
  /** More words for the worker's command line. */
  readonly extra?: readonly string[]
  /** Program and first words, instead of the worker's own. */
  readonly command?: readonly [string, ...string[]]
}

interface Entry {
  readonly worker: LocalWorker
  readonly child: ChildProcess
  readonly ended: Promise<void>
  asked: boolean
}

/**
 * The workers that the coordinator starts on its own machine. Each in a process group of its own, so that Ctrl-C
 * reaches the coordinator alone; each holds the end of a pipe as its standard input and ends when that closes, so that
 * none outlives a coordinator that was killed; all they print goes to a log.
 */
export class LocalWorkers {
  readonly #options: LocalWorkersOptions
  readonly #running = new Map<number, Entry>()
  readonly #listeners: ((exit: LocalWorkerExit) => void)[] = []

  constructor(options: LocalWorkersOptions) {
    this.#options = options
    mkdirSync(options.logDirectory, { recursive: true })
  }

  /** The workers that run now. */
  get running(): readonly LocalWorker[] {
    return [...this.#running.values()].map((entry) => entry.worker)
  }

  /** Starts a worker. @throws TrainError WORKER_LOST when the system gives no process */
  start(name: string): LocalWorker {
    const { logDirectory, computeThreads, command = [process.execPath, WORKER_PROGRAM], join: address, extra = [] } = this.#options
    const logFile = join(logDirectory, `${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}.log`)
    const log = openSync(logFile, 'a', 0o640)
    const logStart = fstatSync(log).size
    const [program, ...first] = command
    let child: ChildProcess
    try {
      child = spawn(
        program,
        [...first, '--join', address, '--name', name, '--compute-threads', String(computeThreads), '--lifeline', 'stdin', ...extra],
        {
          detached: true,
          stdio: ['pipe', log, log],
          env: computeEnvironment(process.env, computeThreads),
        },
      )
    } finally {
      closeSync(log)
    }
    child.stdin?.on('error', () => undefined) // it only ever closes
    const { pid } = child
    if (pid === undefined) {
      child.once('error', () => undefined)
      throw new TrainError(
        'WORKER_LOST',
        `cannot start the worker ${name} (${program}): the system gives no process; close something, or lower run.workers.count`,
      )
    }
    const worker: LocalWorker = {
      name,
      pid,
      logFile,
      kill: () => {
        entry.asked = true
        signalGroup(child, 'SIGKILL')
      },
    }
    const ended = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        this.#running.delete(pid)
        signalGroup(child, 'SIGKILL') // its own children, if it had any, do not outlive it
        void this.#report(entry, logStart, code, signal).finally(resolve)
      })
    })
    const entry: Entry = { worker, child, ended, asked: false }
    this.#running.set(pid, entry)
    return worker
  }

  /** Called once for each worker that ended, whatever the reason. */
  onExit(listener: (exit: LocalWorkerExit) => void): void {
    this.#listeners.push(listener)
  }

  /** Ends all workers: lifeline and SIGTERM first, SIGKILL after the grace; back when the last is gone. */
  async stopAll(graceMs: number): Promise<void> {
    const entries = [...this.#running.values()]
    if (entries.length === 0) return
    for (const entry of entries) {
      entry.asked = true
      entry.child.stdin?.end()
      entry.child.kill('SIGTERM')
    }
    const timer = setTimeout(() => {
      for (const entry of entries) if (this.#running.has(entry.worker.pid)) signalGroup(entry.child, 'SIGKILL')
    }, graceMs)
    await Promise.all(entries.map((entry) => entry.ended))
    clearTimeout(timer)
  }

  async #report(entry: Entry, logStart: number, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    const { name, pid, logFile } = entry.worker
    const lastLines = await tail(logFile, logStart).catch(() => [])
    const exit: LocalWorkerExit = {
      name,
      pid,
      code,
      signal,
      cause: firstCause(lastLines, signal),
      lastLines: lastLines.slice(-10),
      logFile,
      asked: entry.asked,
    }
    for (const listener of this.#listeners) listener(exit)
  }
}

/** Signals the process group that a child of ours leads. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    invariant(
      error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'),
      'a group of our own can be signalled',
    )
  }
}

/** The last lines that were written after `start` (bytes): a log goes on over several lives of a worker. */
async function tail(logFile: string, start: number): Promise<string[]> {
  const file = await open(logFile, 'r')
  try {
    const { size } = await file.stat()
    const from = Math.max(start, size - TAIL_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from)
    const lines = buffer.toString('utf8', 0, bytesRead).trimEnd().split('\n')
    return from > start ? lines.slice(1) : lines
  } finally {
    await file.close()
  }
}
