import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

const PROGRAM = fileURLToPath(new URL('../processes/training.js', import.meta.url))
/** For a step to end and a checkpoint to be written. */
const STOP_MS = 120_000

/** Ctrl-C ends the training first, so that whoever measures it comes to clear up. */
let interrupted = false

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
   */
  static async start(recipe: Recipe, base: string, cores?: readonly number[]): Promise<TrainingProcess> {
    await mkdir(base, { recursive: true })
    const file = join(base, 'recipe.json')
    await writeFile(file, JSON.stringify(recipe))
    const command = [process.execPath, PROGRAM, file, base]
    const [program = '', ...args] = cores === undefined ? command : ['taskset', '-c', cores.join(','), ...command]
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    await once(child, 'spawn')
    const training = new TrainingProcess(child, child.pid ?? Number.NaN)
    process.once('SIGINT', () => {
      interrupted = true
      void training.stop()
    })
    return training
  }

  /** Everything that happens, to the end of the training. @throws Error with the end of stderr when it failed, or when Ctrl-C ended it */
  async *events(): AsyncGenerator<TrainEvent, void> {
    const { stdout } = this.#child
    if (stdout === null) return
    const closed = once(this.#child, 'close')
    for await (const line of createInterface({ input: stdout })) yield JSON.parse(line) as TrainEvent
    const [code] = (await closed) as [number | null]
    if (interrupted) throw new Error('interrupted')
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
