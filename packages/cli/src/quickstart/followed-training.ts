import { train } from '@lockstep/coordinator/train.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { recipeFile } from '../project-folders.js'
import type { Narrator } from '../terminal/narrator.js'
import { narrateTraining, type TrainingOutcome } from '../training/narrated-training.js'

/** One training of the quickstart, from its recipe to its summary. */

export interface TrainingOrder {
  /** A recipe of the project, by name. */
  readonly recipe: string
  /** `path=value`, as --set has it. */
  readonly set: readonly string[]
  /** Folder of runs. */
  readonly base: string
  readonly signal?: AbortSignal | undefined
  /** Sees every event before it is shown. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined
}

/**
 * Trains a recipe of the project with a moving bar and no lines of its own.
 * @throws TrainError as `train` does; INTERRUPTED when the signal came
 */
export async function followTraining(order: TrainingOrder, narrator: Narrator): Promise<TrainingOutcome> {
  const { set, base, signal, onEvent } = order
  const { recipe } = await loadRecipe(recipeFile(order.recipe), { set })
  const events = train(recipe, { base, ...(signal === undefined ? {} : { signal }) })
  const stopped = `the quickstart was stopped; what it had made is in ${base}, and \`lockstep quickstart\` begins anew`
  const outcome = await narrateTraining(events, { signal, onEvent, stopped }, narrator)
  // a signal that came with the last step still ends the story here
  if (signal?.aborted === true) throw new TrainError('INTERRUPTED', stopped)
  return outcome
}
