import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packFolder } from '@lockstep/data/pack-folder.js'
import { recipeText } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawFolder } from '../support/picture-folder.js'
import { recipeOf, trainToEnd } from '../support/training.js'
import type { RunLength } from './fault.js'

const SHORT_STEPS = 40
/** What one worker alone takes for a long run, seconds: longer than any fault and its end together. */
const LONG_SECONDS = 16
/** Long runs end with an evaluation, as short ones do. */
const EVALUATION_STEPS = 20
const PER_CLASS = 40

/** What the undisturbed training came to. */
export interface Reference {
  /** Updates. */
  readonly steps: number
  /** stateDigest of every step. */
  readonly digests: ReadonlyMap<number, string>
  /** At the end, after the last evaluation. */
  readonly stateDigest: string
  readonly samplesPerSecond: number
}

/** What all trials share: the data, the recipe, and the trainings that nobody disturbed. */
export class Ground {
  readonly base: string
  readonly #references = new Map<RunLength, Promise<Reference>>()

  private constructor(base: string) {
    this.base = base
  }

  static async make(): Promise<Ground> {
    const base = await mkdtemp(join(tmpdir(), 'lockstep-faults-'))
    const ground = new Ground(base)
    await packFolder({ input: await drawFolder(join(base, 'pictures'), PER_CLASS), output: ground.data, onBroken: 'stop' })
    const recipe = ground.#recipeOf({ workers: 2, steps: SHORT_STEPS })
    recipe.run.workers.minimum = 1
    await writeFile(ground.recipe, recipeText(recipe))
    await mkdir(join(base, 'runs'))
    return ground
  }

  /** The packed data set. */
  get data(): string {
    return join(this.base, 'packed')
  }

  get recipe(): string {
    return join(this.base, 'recipe.yaml')
  }

  /** Trained once, by one worker, when it is first asked for. */
  async reference(length: RunLength): Promise<Reference> {
    let reference = this.#references.get(length)
    if (reference === undefined) {
      reference = this.#train(length)
      this.#references.set(length, reference)
    }
    return await reference
  }

  async remove(): Promise<void> {
    await rm(this.base, { recursive: true, force: true })
  }

  async #train(length: RunLength): Promise<Reference> {
    const steps = length === 'short' ? SHORT_STEPS : await this.#longSteps()
    const { digests, summary } = await trainToEnd(this.#recipeOf({ workers: 1, steps }), { base: join(this.base, 'undisturbed') })
    return { steps, digests, stateDigest: summary.stateDigest, samplesPerSecond: summary.samplesPerSecond }
  }

  /** A fast machine needs more steps for the same time. */
  async #longSteps(): Promise<number> {
    const { samplesPerSecond } = await this.reference('short')
    const steps = (LONG_SECONDS * samplesPerSecond) / this.#recipeOf({}).batch.global
    return Math.max(2 * SHORT_STEPS, EVALUATION_STEPS * Math.ceil(steps / EVALUATION_STEPS))
  }

  /** Large enough for two slices, of a chunk each. */
  #recipeOf(changes: Parameters<typeof recipeOf>[1]): Recipe {
    return recipeOf(this.data, {
      ...changes,
      model: { name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [1024, 256], dropout: 0.5 },
    })
  }
}
