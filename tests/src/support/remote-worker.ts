import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'

const WORKER = fileURLToPath(new URL('../../../packages/worker/dist/main.js', import.meta.url))
const HANGING = new URL('./hanging-thread.js', import.meta.url).href

export interface RemoteWorkerOptions {
  /** host:port */
  readonly join: string
  readonly name: string
  /** Receives all it prints. */
  readonly logFile: string
  /** The way through which it reaches membership and slices. */
  readonly proxy?: string
  /** SIGUSR2 makes its computing thread hang. */
  readonly canHang?: boolean
}

/** A worker as a person starts it on another machine: nobody's child but ours, and on no lifeline. */
export class RemoteWorker {
  readonly name: string
  readonly pid: number
  /** Its exit code, or null after a signal. */
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess
  readonly #logFile: string

  constructor({ join, name, logFile, proxy, canHang = false }: RemoteWorkerOptions) {
    const log = openSync(logFile, 'a')
    const child = spawn(process.execPath, [...(canHang ? ['--import', HANGING] : []), WORKER, '--join', join, '--name', name], {
      stdio: ['ignore', log, log],
      env: { ...computeEnvironment(process.env, 1), ...(proxy === undefined ? {} : { grpc_proxy: proxy }) },
    })
    closeSync(log)
    this.name = name
    this.pid = child.pid ?? 0
    this.#child = child
    this.#logFile = logFile
    this.ended = new Promise((resolve) => {
      child.on('close', (code) => {
        resolve(code)
      })
      child.on('error', () => {
        resolve(null)
      })
    })
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** All it has printed. */
  get output(): string {
    return readFileSync(this.#logFile, 'utf8')
  }
}
