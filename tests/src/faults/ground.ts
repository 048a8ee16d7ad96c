import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packFolder } from '@lockstep/data/pack-folder.js'
import { recipeText } from '@lockstep/shared/recipe/load.js'
import { drawFolder } from '../support/picture-folder.js'
import { recipeOf, trainToEnd } from '../support/training.js'
import type { RunLength } from './fault.js'

/** Updates of a run. Multiples of the evaluation's interval, so that a longer run passes through the same states. */
export const STEPS: Readonly<Record<RunLength, number>> = { short: 40, long: 200 }
const PER_CLASS = 40

/** What the undisturbed training came to. */
export interface Reference {
  /** stateDigest of every step. */
  readonly digests: ReadonlyMap<number, string>
  /** At the end, after the last evaluation. */
  readonly stateDigest: string
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
    const recipe = recipeOf(ground.data, { workers: 2 })
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
    const recipe = recipeOf(this.data, { workers: 1, steps: STEPS[length] })
    const { digests, summary } = await trainToEnd(recipe, { base: join(this.base, 'undisturbed') })
    return { digests, stateDigest: summary.stateDigest }
  }
}
