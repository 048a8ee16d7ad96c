import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { TrainError, type TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

const PROGRAM = fileURLToPath(new URL('measured-training.js', import.meta.url))
/** For a step to end and a checkpoint to be written. */
const STOP_MS = 120_000

/** Ctrl-C ends the training first, so that whoever measures it comes to clear up. */
let interrupted = false

interface Failed {
  readonly type: 'failed'
  readonly code: TrainErrorCode
  readonly message: string
}

/** A training whose coordinator is a process of its own, so that its memory and time can be told from ours. */
export class TrainingProcess {
  readonly pid: number
  readonly #child: ChildProcess
  #errors = ''

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child
    this.pid = pid
    child.stderr?.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-4000)
    })
    child.stdin?.on('error', () => undefined)
  }

  /**
   * @param base folder of the run
   * @param cores processors that it and all its children are confined to (taskset), or undefined for all
   * @param signal ends it; without one Ctrl-C does
   */
  static async start(recipe: Recipe, base: string, cores?: readonly number[], signal?: AbortSignal): Promise<TrainingProcess> {
    await mkdir(base, { recursive: true })
    const file = join(base, 'recipe.json')
    await writeFile(file, JSON.stringify(recipe))
    const command = [process.execPath, PROGRAM, file, base]
    const [program = '', ...args] = cores === undefined ? command : ['taskset', '-c', cores.join(','), ...command]
    // in a process group of its own: Ctrl-C reaches whoever measures, who closes its input
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    await once(child, 'spawn')
    const training = new TrainingProcess(child, child.pid ?? Number.NaN)
    const stop = (): void => {
      interrupted = true
      void training.stop()
    }
    if (signal === undefined) process.once('SIGINT', stop)
    else signal.addEventListener('abort', stop, { once: true })
    child.once('exit', () => {
      process.off('SIGINT', stop)
      signal?.removeEventListener('abort', stop)
    })
    if (signal?.aborted === true) stop()
    return training
  }

  /**
   * Everything that happens, to the end of the training.
   * @throws TrainError what the training threw; INTERRUPTED when Ctrl-C or the signal ended it; Error with the end of stderr when it died
   */
  async *events(): AsyncGenerator<TrainEvent, void> {
    const { stdout } = this.#child
    if (stdout === null) return
    const closed = once(this.#child, 'close')
    let failure: Failed | undefined
    for await (const line of createInterface({ input: stdout })) {
      const event = JSON.parse(line) as TrainEvent | Failed
      if (event.type === 'failed') failure = event
      else yield event
    }
    const [code] = (await closed) as [number | null]
    if (interrupted) throw new TrainError('INTERRUPTED', 'the measurement was interrupted')
    if (failure !== undefined) throw new TrainError(failure.code, failure.message)
    if (code !== 0) throw new Error(`the training ended with ${String(code)}: ${this.#errors}`)
  }

  /** Ends it as Ctrl-C would; back when it is gone. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    this.#child.stdin?.end()
    await gone
    clearTimeout(timer)
  }
}
