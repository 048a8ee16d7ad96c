import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { PARTIAL, writeDurably } from '@lockstep/coordinator/run-directory/durable-file.js'
import { RunLock } from '@lockstep/coordinator/run-directory/run-lock.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { shownPath } from '../terminal/paths.js'
import type { DataYardsticks } from './data-yardsticks.js'
import { PRESETS, type ExperimentIdentity, type ExperimentSettings } from './experiment-settings.js'
import type { MeasuredSignal } from './signal-fate.js'
import { BEGINNINGS, CONFIGURATIONS } from './training-plan.js'
import type { TrainingResult } from './training-result.js'

/**
 * What an experiment leaves on disk, so that it can go on where it was: `experiment.json` says which it is, `runs/` has a run's folder
 * a training, `results/` a file for every training that is over, `measured/` what was measured besides, and the report lies at the top.
 */

const SETTINGS_FILE = 'experiment.json'
const LOCK_FILE = 'lock'

const settingsSchema = z.strictObject({
  format: z.literal(1),
  experiment: z.literal('depth'),
  data: z.string(),
  preset: z.enum(PRESETS),
  set: z.array(z.string()),
  configurations: z.array(z.enum(CONFIGURATIONS)),
  beginnings: z.array(z.enum(BEGINNINGS)),
  seeds: z.array(z.int()),
})

export class ExperimentFolder {
  readonly path: string
  readonly #lock: RunLock

  private constructor(path: string, lock: RunLock) {
    this.path = path
    this.#lock = lock
  }

  /**
   * Makes the folder, or opens it again, and holds it for this process until {@link close}.
   * @throws TrainError USAGE when one is there and `resume` was not said, or it is another experiment; RUN_LOCKED, DISK
   */
  static async open(path: string, settings: ExperimentSettings, { resume }: { resume: boolean }): Promise<ExperimentFolder> {
    const found = await readSettings(path)
    if (found !== undefined && !resume)
      throw new TrainError(
        'USAGE',
        `${shownPath(path)} holds an experiment already: go on with it by --resume, or name another folder with --out`,
      )
    if (found === undefined) await requireEmpty(path)
    else requireSame(found, settings, path)
    await mkdir(path, { recursive: true })
    const lock = await RunLock.take(join(path, LOCK_FILE), `the experiment in ${shownPath(path)}`)
    const folder = new ExperimentFolder(path, lock)
    await folder.#write(SETTINGS_FILE, { format: 1, experiment: 'depth', ...settings })
    return folder
  }

  /** What the experiment in a folder was asked for last; undefined where there is none. @throws TrainError USAGE for a file that is not ours */
  static settings(path: string): Promise<ExperimentSettings | undefined> {
    return readSettings(path)
  }

  async close(): Promise<void> {
    await this.#lock.release()
  }

  /** The run's folder of a training. */
  runPath(id: string): string {
    return join(this.path, 'runs', id)
  }

  async forgetRun(id: string): Promise<void> {
    await rm(this.runPath(id), { recursive: true, force: true })
  }

  /** What a training that is over came to; undefined while it is not. */
  async result(id: string): Promise<TrainingResult | undefined> {
    return (await this.#read(`results/${id}.json`)) as TrainingResult | undefined
  }

  async writeResult(result: TrainingResult): Promise<void> {
    await this.#write(`results/${result.id}.json`, result)
  }

  /** Chance and nearest neighbour, measured once. @param name which pictures */
  async yardsticks(name: string): Promise<DataYardsticks | undefined> {
    return (await this.#read(`measured/yardsticks-${name}.json`)) as DataYardsticks | undefined
  }

  async writeYardsticks(name: string, yardsticks: DataYardsticks): Promise<void> {
    await this.#write(`measured/yardsticks-${name}.json`, yardsticks)
  }

  /** Those that were measured last. */
  async signals(): Promise<readonly MeasuredSignal[] | undefined> {
    return (await this.#read('measured/signals.json')) as readonly MeasuredSignal[] | undefined
  }

  async writeSignals(signals: readonly MeasuredSignal[]): Promise<void> {
    await this.#write('measured/signals.json', signals)
  }

  /** Writes a file of the report. @throws TrainError DISK */
  async writeText(name: string, text: string): Promise<string> {
    const path = join(this.path, name)
    try {
      await mkdir(join(path, '..'), { recursive: true })
      await writeDurably(path, text)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new TrainError('DISK', `cannot write ${path} (${reason}): free some space, and go on with --resume`, { cause: error })
    }
    return path
  }

  async #write(name: string, content: unknown): Promise<void> {
    await this.writeText(name, `${JSON.stringify(content, null, 2)}\n`)
  }

  /** Written by us, durably: whole where it is. */
  async #read(name: string): Promise<unknown> {
    const text = await readFile(join(this.path, name), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  }
}

async function readSettings(path: string): Promise<ExperimentSettings | undefined> {
  const file = join(path, SETTINGS_FILE)
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { data, preset, set, configurations, beginnings, seeds } = settingsSchema.parse(JSON.parse(text))
    return { data, preset, set, configurations, beginnings, seeds }
  } catch (error) {
    throw new TrainError('USAGE', `${shownPath(file)} cannot be read, so the experiment cannot go on: name another folder with --out`, {
      cause: error,
    })
  }
}

/** A folder of somebody's own is left alone; one that was only just begun holds the lock. */
async function requireEmpty(path: string): Promise<void> {
  const names = await readdir(path).catch((): string[] => [])
  if (names.every((name) => name === LOCK_FILE || name.includes(PARTIAL))) return
  throw new TrainError('USAGE', `${shownPath(path)} is not empty, and no experiment: name an empty or a new folder with --out`)
}

/** Seeds, configurations and beginnings may be others at every start: what is there already is not trained again. */
function requireSame(found: ExperimentIdentity, asked: ExperimentIdentity, path: string): void {
  const differences = (['data', 'preset', 'set'] as const).filter((key) => JSON.stringify(found[key]) !== JSON.stringify(asked[key]))
  if (differences.length === 0) return
  const told = differences.map((key) => `--${key} was ${key === 'set' ? found.set.join(' ') || 'not said' : found[key]}`)
  throw new TrainError(
    'USAGE',
    `${shownPath(path)} holds another experiment (${told.join(', ')}): say the same again, or name another folder with --out`,
  )
}
