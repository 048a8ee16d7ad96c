import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Socket } from 'node:net'
import { Redis } from 'ioredis'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import { freePort } from './free-port.js'
import { checkServer, infoField } from './queue-connection.js'
import { findValkey } from './valkey-binary.js'

/** One that has said nothing by then is broken. */
const START_DEADLINE_MS = 30_000
/** A server that is asked to stop and has not by then is killed. */
const STOP_GRACE_MS = 5_000
const PORT_TRIES = 5

/**
 * Holds the server on a lifeline. Standard input is a pipe from the coordinator: a line on it asks the server to stop,
 * its end (the coordinator is gone, however it went) kills the server. Descriptor 3 brings the configuration, so that
 * the password stands neither on a command line nor in a file. Ends with the server, with its exit status.
 */
const WRAPPER = `
exec 4<&0 </dev/null
"$1" - <&3 3<&- 4<&- &
server=$!
exec 3<&-
( if read -r line; then kill -TERM $server; while read -r line; do :; done; fi; kill -KILL $server ) <&4 4<&- 2>/dev/null &
lifeline=$!
exec 4<&-
wait $server
status=$?
kill $lifeline 2>/dev/null
exit $status
`

/** How an embedded server ended without being asked to. */
export interface ValkeyExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The last lines of its log, joined into one. */
  readonly lastWords: string
}

export interface EmbeddedValkeyOptions {
  /** The server's working folder. It writes nothing there: what a queue holds is in memory alone. */
  readonly directory: string
  /** Appended to. */
  readonly logFile: string
  /** The address to listen on; loopback by default. */
  readonly host?: string
  /** The server's program, instead of the one found. */
  readonly program?: string
}

/**
 * A Valkey server that lives as long as its coordinator: in a process group of its own, so that Ctrl-C does not reach
 * it, and on a lifeline, so that it never outlives a coordinator that was killed.
 */
export class EmbeddedValkey {
  readonly host: string
  readonly password = randomBytes(32).toString('hex')
  readonly #options: EmbeddedValkeyOptions
  readonly #program: string
  readonly #listeners: ((exit: ValkeyExit) => void)[] = []
  #port = 0
  #serverPid = 0
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  #stopping = false

  private constructor(options: EmbeddedValkeyOptions, program: string) {
    this.#options = options
    this.#program = program
    this.host = options.host ?? '127.0.0.1'
  }

  /** Starts an empty server on a free port and waits until it answers. @throws TrainError QUEUE_UNAVAILABLE */
  static async start(options: EmbeddedValkeyOptions): Promise<EmbeddedValkey> {
    const valkey = new EmbeddedValkey(options, options.program ?? (await findValkey()))
    await mkdir(options.directory, { recursive: true, mode: 0o700 })
    await mkdir(dirname(options.logFile), { recursive: true })
    for (let attempt = 1; ; attempt++) {
      valkey.#port = await freePort(valkey.host)
      try {
        await valkey.#launch()
        return valkey
      } catch (error) {
        if (attempt === PORT_TRIES || !isPortTaken(error)) throw error
      }
    }
  }

  /** Where this machine's programs reach the server, password included: never print it. */
  get url(): string {
    const wildcard = this.host === '0.0.0.0' || this.host === '::'
    return this.urlFor(wildcard ? '127.0.0.1' : this.host)
  }

  /** Where a program reaches the server that knows this machine under another name, password included. */
  urlFor(host: string): string {
    return `redis://:${this.password}@${host.includes(':') ? `[${host}]` : host}:${String(this.#port)}`
  }

  get port(): number {
    return this.#port
  }

  /** The server's own process id (its parent is the wrapper). */
  get pid(): number {
    return this.#serverPid
  }

  /** Called when the server ended without having been asked to; {@link restart} brings it back. */
  onExit(listener: (exit: ValkeyExit) => void): void {
    this.#listeners.push(listener)
  }

  /**
   * Starts the server again, empty, on the same port and with the same password; clients reconnect by themselves, and
   * the caller fills the queues again.
   * @throws TrainError QUEUE_UNAVAILABLE
   */
  async restart(): Promise<void> {
    await this.stop()
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#launch()
        return
      } catch (error) {
        if (attempt === PORT_TRIES) throw error
        await sleep(100 * attempt)
      }
    }
  }

  /** Ends the server, politely at first. Does nothing when it has ended already. */
  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (child === undefined) return
    child.stdin?.write('stop\n')
    const timer = setTimeout(() => {
      child.stdin?.end()
    }, STOP_GRACE_MS)
    await this.#ended
    clearTimeout(timer)
  }

  /** Starts the process and waits until it answers; on failure nothing is left running. */
  async #launch(): Promise<void> {
    this.#stopping = true // until it has answered once, its end is ours to report, by throwing
    const { child, ended } = await this.#spawn()
    this.#child = child
    this.#ended = ended.then(() => undefined)
    const answer = new AbortController()
    const info = await Promise.race([this.#answer(answer.signal), ended.then(() => undefined)])
    answer.abort()
    if (info === undefined) {
      child.stdin?.end()
      throw this.#failure((await ended).lastWords)
    }
    try {
      checkServer(info, `server ${this.#program}`)
    } catch (error) {
      await this.stop()
      throw error
    }
    this.#serverPid = Number(infoField(info, 'process_id'))
    this.#stopping = false
  }

  async #spawn(): Promise<{ child: ChildProcess; ended: Promise<ValkeyExit> }> {
    const log = await open(this.#options.logFile, 'a', 0o640)
    try {
      const child = spawn('/bin/sh', ['-c', WRAPPER, 'lockstep-queue', this.#program], {
        cwd: this.#options.directory,
        detached: true,
        stdio: ['pipe', log.fd, log.fd, 'pipe'],
      })
      // Before anything is waited for: it can end within a millisecond.
      const ended = this.#watch(child)
      const configuration = child.stdio[3] as Socket | undefined
      for (const pipe of [child.stdin, configuration]) pipe?.on('error', () => undefined) // its exit says more
      configuration?.end(this.#configuration())
      return { child, ended }
    } finally {
      await log.close()
    }
  }

  /** The end of the process, which is told to the listeners unless it was asked for. */
  async #watch(child: ChildProcess): Promise<ValkeyExit> {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.once('exit', (...how) => resolve(how))
      child.once('error', () => resolve([null, null]))
    })
    this.#child = undefined
    killGroup(child)
    const exit = { code, signal, lastWords: (await lastWords(this.#options.logFile)).replaceAll(this.password, '***') }
    if (!this.#stopping) for (const listener of this.#listeners) listener(exit)
    return exit
  }

  #configuration(): string {
    return [
      `bind ${this.host}`,
      `port ${String(this.#port)}`,
      `requirepass ${this.password}`,
      'protected-mode yes',
      'daemonize no',
      'dir ./', // the working directory, so that no path needs quoting
      'logfile ""',
      // nothing on disk: the run loop refills a queue that was lost, and a full disk cannot stop one that is not written
      'appendonly no',
      'save ""',
      'maxmemory-policy noeviction',
      '',
    ].join('\n')
  }

  /** The answer to INFO, as soon as there is one, or undefined after the deadline. */
  async #answer(signal: AbortSignal): Promise<string | undefined> {
    const client = new Redis(this.url, { lazyConnect: true, maxRetriesPerRequest: null, retryStrategy: () => 25 })
    client.on('error', () => undefined)
    const giveUp = (): void => {
      client.disconnect()
    }
    const timer = setTimeout(giveUp, START_DEADLINE_MS)
    signal.addEventListener('abort', giveUp)
    try {
      // connect() rejects when its first attempt does; the client goes on trying, and the command waits for it
      client.connect().catch(() => undefined)
      await client.ping()
      return await client.info()
    } catch {
      return undefined
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
      client.disconnect()
    }
  }

  #failure(words: string): TrainError {
    return new TrainError(
      'QUEUE_UNAVAILABLE',
      `the embedded queue server ${this.#program} did not start (${words === '' ? 'it said nothing' : words}): see ${this.#options.logFile}, or set run.queue to a redis:// address`,
    )
  }
}

function isPortTaken(error: unknown): boolean {
  return (
    error instanceof TrainError &&
    /Address already in use|Failed listening|Could not create server TCP listening socket/i.test(error.message)
  )
}

/** Ends what may be left of a child's own process group once its leader has gone. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    invariant(
      error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'),
      'a group of our own can be signalled',
    )
  }
}

async function lastWords(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  const lines = text.trimEnd().split('\n').slice(-3)
  return lines.map((line) => line.trim()).join(' | ')
}
