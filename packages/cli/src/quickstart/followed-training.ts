import { join } from 'node:path'
import { train } from '@lockstep/coordinator/train.js'
import type { InitializedLayer, TrainEvent } from '@lockstep/coordinator/train-event.js'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { figuresOf } from '../training/training-lines.js'
import type { Narrator } from './narrator.js'
import { recipeFile } from './project-folders.js'

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

export interface TrainingOutcome {
  readonly summary: RunSummary
  readonly directory: string
  readonly parameters: number
  /** What came from a checkpoint, or null. */
  readonly initialized: readonly InitializedLayer[] | null
  /** Evaluations in order: [step, top-1]. */
  readonly course: readonly (readonly [step: number, top1: number])[]
  /** State digests by step, where the recipe asked for them. */
  readonly digests: ReadonlyMap<number, string>
}

/**
 * Trains a recipe of the project with a moving bar and no lines of its own.
 * @throws TrainError as `train` does; INTERRUPTED when the signal came
 */
export async function followTraining(order: TrainingOrder, narrator: Narrator): Promise<TrainingOutcome> {
  const { recipe } = await loadRecipe(recipeFile(order.recipe), { set: order.set })
  const losses: number[] = []
  const course: [number, number][] = []
  const digests = new Map<number, string>()
  let started: Extract<TrainEvent, { type: 'started' }> | undefined
  let ended: Extract<TrainEvent, { type: 'summary' }> | undefined
  try {
    const options = { base: order.base, ...(order.signal === undefined ? {} : { signal: order.signal }) }
    for await (const event of train(recipe, options)) {
      order.onEvent?.(event)
      if (event.type === 'started') started = event
      else if (event.type === 'summary') ended = event
      else if (event.type === 'evaluation') course.push([event.step, event.top1])
      else if (event.type === 'step') {
        losses.push(event.loss)
        if (event.stateDigest !== undefined) digests.set(event.step, event.stateDigest)
        narrator.progress(event.step, event.steps, figuresOf(event, losses, narrator.columns))
      } else sayOthers(event, narrator)
    }
  } finally {
    narrator.settle()
  }
  if (order.signal?.aborted === true || ended?.finished === false) {
    throw new TrainError(
      'INTERRUPTED',
      `the quickstart was stopped; what it had made is in ${order.base}, and \`lockstep quickstart\` begins anew`,
    )
  }
  invariant(started !== undefined && ended !== undefined, 'a training that ends has started and tells its summary')
  return {
    summary: ended.summary,
    directory: ended.directory,
    parameters: started.parameters,
    initialized: started.initialized,
    course,
    digests,
  }
}

function sayOthers(event: TrainEvent, narrator: Narrator): void {
  if (event.type === 'preparing') narrator.status(`   ${event.what} …`)
  else if (event.type === 'evaluating') narrator.status(`   evaluating ${String(event.done)}/${String(event.total)}`)
  else if (event.type === 'warning') narrator.line(`   warning: ${event.message}`)
  else if (event.type === 'workerRefused') narrator.line(`   ${event.name} refused: ${event.reason}`)
  else if (event.type === 'waiting') narrator.status(`   ${event.reason}`)
}

/** The checkpoint with the best validation top-1 of a finished training. */
export function bestCheckpoint(outcome: TrainingOutcome): string {
  return join(outcome.directory, 'checkpoints', 'best.safetensors')
}
