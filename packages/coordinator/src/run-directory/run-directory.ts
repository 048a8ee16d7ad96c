import { randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, readlink, realpath, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import { withoutPasswords } from '../logs/redaction.js'
import { BEST, LATEST, checkpointName, stepOfName, superfluous, type CheckpointFile } from './checkpoint-names.js'
import { PARTIAL, replaceLink, syncDirectory, writeDurably } from './durable-file.js'
import { RunLock } from './run-lock.js'
import type { RunSummary } from './run-summary.js'

/** Where runs are kept when nothing else is said. */
export const DEFAULT_BASE = 'runs'
/** The link to the newest run; no run bears this name. */
const NEWEST = 'latest'
const IDENTITY_FILE = 'run.json'

const identitySchema = z.strictObject({ format: z.literal(1), id: z.string().regex(/^[0-9a-f]{32}$/), term: z.int().min(0) })
type Identity = z.infer<typeof identitySchema>

/** The folder of one run: its identity, its lock, and the names of everything in it. */
export class RunDirectory {
  /** Absolute. */
  readonly path: string
  /** Random, 32 hexadecimal digits, the run's for ever. */
  readonly id: string
  #term: number
  #lock: RunLock | undefined

  private constructor(path: string, identity: Identity) {
    this.path = path
    this.id = identity.id
    this.#term = identity.term
  }

  /**
   * Makes the folder of a new run: `base/name`, or `name-2`, … where that is taken, and points `base/latest` to it.
   * @param path this folder instead, which must be missing or empty
   * @throws TrainError USAGE (the folder is taken), DISK
   */
  static async create({ base = DEFAULT_BASE, name, path }: { base?: string; name: string; path?: string }): Promise<RunDirectory> {
    const root = resolve(base)
    try {
      const directory = path === undefined ? await makeNumbered(root, name) : await makeExactly(resolve(path))
      await mkdir(join(directory, 'checkpoints'))
      await mkdir(join(directory, 'logs'))
      const identity: Identity = { format: 1, id: randomBytes(16).toString('hex'), term: 0 }
      await writeDurably(join(directory, IDENTITY_FILE), `${JSON.stringify(identity)}\n`)
      await syncDirectory(dirname(directory))
      if (dirname(directory) === root) await pointToNewest(root, directory)
      return new RunDirectory(directory, identity)
    } catch (error) {
      throw asDiskError(error, `cannot make the run's folder under ${path ?? base}`)
    }
  }

  /**
   * Opens an existing run: a folder, the name of a run in `base`, or `base/latest`.
   * @throws TrainError RUN_MISSING
   */
  static async open(path: string | undefined, base = DEFAULT_BASE): Promise<RunDirectory> {
    const candidates = path === undefined ? [join(base, NEWEST)] : [path, join(base, path)]
    for (const candidate of candidates) {
      const directory = await realpath(candidate).catch(() => undefined)
      if (directory === undefined) continue
      const text = await readFile(join(directory, IDENTITY_FILE), 'utf8').catch(() => undefined)
      if (text !== undefined) return new RunDirectory(directory, parseIdentity(text, directory))
    }
    if (path === undefined)
      throw new TrainError(
        'RUN_MISSING',
        `there is no run in ${resolve(base)} yet: start one with lockstep train RECIPE, or name a run's folder`,
      )
    throw new TrainError(
      'RUN_MISSING',
      `${path} is no run: name the folder that a training made (${IDENTITY_FILE} is in it), such as ${join(base, NEWEST)}`,
    )
  }

  /** The last part of the path, as people call the run. */
  get name(): string {
    return basename(this.path)
  }

  /** The term that {@link nextTerm} gave last, in this process or an earlier one; 0 before the first. */
  get term(): number {
    return this.#term
  }

  /**
   * Holds the run for this process, until {@link unlock} or the end of the process, however it ends; then removes what
   * a crash left half written.
   * @throws TrainError RUN_LOCKED, naming the run and its holder
   */
  async lock(): Promise<void> {
    invariant(this.#lock === undefined, 'a run is locked once')
    this.#lock = await RunLock.take(join(this.path, 'lock'), `run ${this.path}`)
    try {
      await this.#removePartial()
      // Another process may have gone through terms between our opening and now.
      this.#term = parseIdentity(await readFile(join(this.path, IDENTITY_FILE), 'utf8'), this.path).term
    } catch (error) {
      await this.unlock()
      throw error
    }
  }

  async unlock(): Promise<void> {
    const lock = this.#lock
    this.#lock = undefined
    await lock?.release()
  }

  /** The next term, on disk before it is returned. @throws TrainError DISK */
  async nextTerm(): Promise<number> {
    invariant(this.#lock !== undefined, 'a term is taken under the lock')
    const term = this.#term + 1
    try {
      const identity: Identity = { format: 1, id: this.id, term }
      await writeDurably(join(this.path, IDENTITY_FILE), `${JSON.stringify(identity)}\n`)
    } catch (error) {
      throw asDiskError(error, `cannot write ${join(this.path, IDENTITY_FILE)}`)
    }
    this.#term = term
    return term
  }

  /** Where the checkpoint after so many updates goes. */
  checkpointPath(step: number): string {
    return join(this.path, 'checkpoints', checkpointName(step))
  }

  /** The whole checkpoints, newest first. */
  async checkpoints(): Promise<CheckpointFile[]> {
    const names = await readdir(join(this.path, 'checkpoints')).catch(() => [])
    return names
      .map(stepOfName)
      .filter((step) => step !== undefined)
      .sort((a, b) => b - a)
      .map((step) => ({ step, path: this.checkpointPath(step) }))
  }

  /** Points checkpoints/latest.safetensors to a checkpoint. */
  async linkLatest(step: number): Promise<void> {
    await this.#link(LATEST, step)
  }

  /** Points checkpoints/best.safetensors to a checkpoint, which {@link keep} then spares. */
  async linkBest(step: number): Promise<void> {
    await this.#link(BEST, step)
  }

  /** The checkpoint that best.safetensors points to. */
  async best(): Promise<CheckpointFile | undefined> {
    const step = await this.#linked(BEST)
    return step === undefined ? undefined : { step, path: this.checkpointPath(step) }
  }

  /** Deletes all checkpoints but the newest `count` (at least one) and those that the links point to. @returns the steps deleted */
  async keep(count: number): Promise<number[]> {
    invariant(this.#lock !== undefined, 'checkpoints are deleted under the lock')
    const spared = new Set([await this.#linked(BEST), await this.#linked(LATEST)].filter((step) => step !== undefined))
    const steps = (await this.checkpoints()).map((checkpoint) => checkpoint.step)
    const gone = superfluous(steps, count, spared)
    for (const step of gone) await rm(this.checkpointPath(step), { force: true })
    return gone
  }

  /** A log of this run: `logs/NAME.log`. */
  logFile(name: string): string {
    return join(this.logDirectory, `${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}.log`)
  }

  get logDirectory(): string {
    return join(this.path, 'logs')
  }

  get recipePath(): string {
    return join(this.path, 'recipe.yaml')
  }

  get summaryPath(): string {
    return join(this.path, 'summary.json')
  }

  /** Writes recipe.yaml; passwords in addresses are left out, they come from the environment. @throws TrainError DISK */
  async writeRecipe(text: string): Promise<void> {
    await this.#write(this.recipePath, withoutPasswords(text))
  }

  /** Writes summary.json. @throws TrainError DISK */
  async writeSummary(summary: RunSummary): Promise<void> {
    await this.#write(this.summaryPath, `${JSON.stringify(summary, null, 2)}\n`)
  }

  async #write(path: string, text: string): Promise<void> {
    await writeDurably(path, text).catch((error: unknown) => {
      throw asDiskError(error, `cannot write ${path}`)
    })
  }

  async #link(name: string, step: number): Promise<void> {
    try {
      await stat(this.checkpointPath(step))
      await replaceLink(join(this.path, 'checkpoints', name), checkpointName(step))
    } catch (error) {
      throw asDiskError(error, `cannot point ${join(this.path, 'checkpoints', name)} to ${checkpointName(step)}`)
    }
  }

  /** The step of the checkpoint that a link points to. */
  async #linked(name: string): Promise<number | undefined> {
    const target = await readlink(join(this.path, 'checkpoints', name)).catch(() => undefined)
    return target === undefined ? undefined : stepOfName(basename(target))
  }

  async #removePartial(): Promise<void> {
    for (const folder of [this.path, join(this.path, 'checkpoints')]) {
      const names = await readdir(folder).catch(() => [])
      for (const name of names) if (name.includes(PARTIAL)) await rm(join(folder, name), { force: true })
    }
  }
}

/** mkdir is the test and the taking in one, so two trainings that start together get two folders. */
async function makeNumbered(root: string, name: string): Promise<string> {
  await mkdir(root, { recursive: true })
  for (let number = name === NEWEST ? 2 : 1; ; number++) {
    const directory = join(root, number === 1 ? name : `${name}-${String(number)}`)
    try {
      await mkdir(directory)
      return directory
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}

async function makeExactly(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true })
  const names = await readdir(directory)
  if (names.includes(IDENTITY_FILE))
    throw new TrainError(
      'USAGE',
      `${directory} holds a run already: go on with lockstep resume ${directory}, or name another folder with --run`,
    )
  if (names.length > 0) throw new TrainError('USAGE', `${directory} is not empty: name an empty or a new folder with --run`)
  return directory
}

async function pointToNewest(root: string, directory: string): Promise<void> {
  await replaceLink(join(root, NEWEST), relative(root, directory))
}

function parseIdentity(text: string, directory: string): Identity {
  try {
    return identitySchema.parse(JSON.parse(text))
  } catch (error) {
    throw new TrainError(
      'RUN_MISSING',
      `${join(directory, IDENTITY_FILE)} cannot be read, so ${directory} is no run that can go on: train again from a checkpoint in it with initialization.from`,
      { cause: error },
    )
  }
}

function asDiskError(error: unknown, what: string): TrainError {
  if (error instanceof TrainError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new TrainError('DISK', `${what} (${reason}): free some space or choose another place with --run`, { cause: error })
}
