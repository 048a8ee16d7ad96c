import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { startCommand, type Ended, type Started } from '../support/command.js'
import { commandOf, descendantsOf, isAlive } from '../support/process-facts.js'
import { RemoteWorker, type RemoteWorkerOptions } from '../support/remote-worker.js'
import type { Ground } from './ground.js'

/** Longer than anything here takes on a busy machine; a wait that reaches it is a failure with a name. */
const PATIENCE_MS = 90_000

type EventOf<Type extends TrainEvent['type'], Event = TrainEvent> = Event extends { readonly type: infer Own }
  ? Type extends Own
    ? Event
    : never
  : never
interface Heard {
  readonly event: TrainEvent
  readonly atMs: number
}

/** One training with all its processes: started as people start it, and open to harm. */
export class DisturbedRun {
  /** Every event of every coordinator of this run, in order. */
  readonly heard: Heard[] = []
  readonly remotes: RemoteWorker[] = []
  /** When the fault struck. */
  struckMs = Infinity
  /** To be called before the folder goes. */
  readonly cleanups: (() => Promise<void>)[] = []
  readonly directory: string
  #coordinator: Started | undefined
  #ended: Ended | undefined
  #listeners: (() => void)[] = []

  constructor(
    readonly ground: Ground,
    /** Updates. */
    readonly steps: number,
    /** Of the run's folder. */
    name: string,
    base = join(ground.base, 'runs'),
  ) {
    this.directory = join(base, name)
  }

  /** Starts the training. @param words more of the command line */
  async train(words: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<void> {
    const run = ['train', this.ground.recipe, '--run', this.directory, '--set', `steps=${String(this.steps)}`]
    await this.#start([...run, ...words], environment)
  }

  /** Goes on with it. */
  async resume(words: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<void> {
    await this.#start(['resume', this.directory, ...words], environment)
  }

  async #start(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<void> {
    assert(this.#coordinator === undefined || this.#ended !== undefined, 'one coordinator at a time')
    const from = this.heard.length
    this.#ended = undefined
    const coordinator = startCommand(
      [...words, '--json'],
      this.ground.base,
      (line) => {
        this.heard.push({ event: JSON.parse(line) as TrainEvent, atMs: performance.now() })
        this.#wake()
      },
      environment,
    )
    this.#coordinator = coordinator
    void coordinator.ended.then((ended) => {
      if (this.#coordinator === coordinator) this.#ended = ended
      this.#wake()
    })
    await this.event('started', () => true, from)
  }

  #wake(): void {
    for (const listener of this.#listeners.splice(0)) listener()
  }

  /** The coordinator's process. */
  get coordinatorPid(): number {
    return this.#coordinator?.child.pid ?? 0
  }

  /** Sends the coordinator alone a signal. */
  signal(name: NodeJS.Signals): void {
    this.#coordinator?.child.kill(name)
  }

  /** host:port where workers join. */
  get address(): string {
    return this.eventsOf('started').at(-1)?.address ?? ''
  }

  eventsOf<Type extends TrainEvent['type']>(type: Type): EventOf<Type>[] {
    return this.heard.flatMap(({ event }) => (event.type === type ? [event as EventOf<Type>] : []))
  }

  /** The summary of the run that ended well. */
  get summary(): RunSummary {
    const summary = this.eventsOf('summary').at(-1)?.summary
    assert(summary !== undefined, 'the run ended with a summary')
    return summary
  }

  /**
   * Waits for something to become true of this run; looked at after every event.
   * @throws when the coordinator has ended without it, or the patience is over
   */
  async until<Value>(what: string, look: () => Value | undefined, patienceMs = PATIENCE_MS): Promise<Value> {
    const deadlineMs = performance.now() + patienceMs
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      if (this.#ended !== undefined)
        throw new Error(`the run ended (${String(this.#ended.code)}) before: ${what}; ${this.#ended.stderr.trim()}`)
      if (performance.now() > deadlineMs) throw new Error(`${String(patienceMs / 1000)} s passed without: ${what}`)
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#listeners.push(resolve)
        }),
        sleep(100),
      ])
    }
  }

  /** The next event of a kind. @param from index in {@link heard} where to begin; default: from now on */
  async event<Type extends TrainEvent['type']>(
    type: Type,
    fits: (event: EventOf<Type>) => boolean = () => true,
    from = this.heard.length,
  ): Promise<EventOf<Type>> {
    return await this.until(`an event ${type}`, () => {
      const found = this.heard.slice(from).find(({ event }) => event.type === type && fits(event as EventOf<Type>))
      return found?.event as EventOf<Type> | undefined
    })
  }

  /** Waits until so many updates are committed. */
  async reached(step: number): Promise<void> {
    await this.event('step', (event) => event.step >= step, 0)
  }

  /** Joins a worker by hand and waits until it is a member. */
  async join(name: string, options: Partial<RemoteWorkerOptions> = {}): Promise<RemoteWorker> {
    const from = this.heard.length
    const worker = this.startRemote(name, options)
    await this.event('workerJoined', (event) => event.name === name, from)
    return worker
  }

  startRemote(name: string, options: Partial<RemoteWorkerOptions> = {}): RemoteWorker {
    const worker = new RemoteWorker({ join: this.address, name, logFile: join(this.directory, 'logs', `${name}-by-hand.log`), ...options })
    this.remotes.push(worker)
    return worker
  }

  /** Process ids of the local workers that have joined and live. */
  get localWorkers(): number[] {
    const remote = new Set(this.remotes.map(({ pid }) => pid))
    return this.eventsOf('workerJoined').flatMap(({ pid }) => (remote.has(pid) || !isAlive(pid) ? [] : [pid]))
  }

  /** The embedded queue server's process. */
  get queueServer(): number | undefined {
    return descendantsOf(this.coordinatorPid).find(
      (pid) => /valkey-server|redis-server/.test(commandOf(pid)) && !commandOf(pid).startsWith('/bin/sh'),
    )
  }

  /** Waits for the coordinator's end, however it ends. */
  async end(): Promise<Ended> {
    const deadlineMs = performance.now() + PATIENCE_MS + this.steps * 500
    while (this.#ended === undefined) {
      if (performance.now() > deadlineMs) throw new Error('the run does not end')
      await sleep(50)
    }
    return this.#ended
  }

  /** Waits for a good end. */
  async goodEnd(): Promise<void> {
    const { code, stderr } = await this.end()
    assert.equal(code, 0, `exit code ${String(code)}: ${stderr.trim()}`)
  }

  /** The longest time without a committed step from the fault on, seconds: what the fault cost. */
  get longestPauseSeconds(): number {
    let previousMs = this.struckMs
    let longestMs = 0
    for (const { event, atMs } of this.heard) {
      if (event.type !== 'step' || atMs < this.struckMs) continue
      longestMs = Math.max(longestMs, atMs - previousMs)
      previousMs = atMs
    }
    return longestMs / 1000
  }

  /** The end of the coordinator's log. */
  logTail(lines: number): string[] {
    const file = join(this.directory, 'logs', 'coordinator.log')
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines) : []
  }

  /** Ends whatever is left, ours alone. */
  async close(): Promise<void> {
    for (const remote of this.remotes) if (!remote.hasEnded) remote.signal('SIGKILL')
    if (this.#ended === undefined) this.signal('SIGKILL')
    for (const cleanup of this.cleanups.splice(0).reverse()) await cleanup()
  }
}
