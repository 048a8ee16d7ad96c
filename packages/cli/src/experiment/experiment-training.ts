import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { METRICS_FILE } from '@lockstep/coordinator/metrics/metrics-log.js'
import { RunDirectory } from '@lockstep/coordinator/run-directory/run-directory.js'
import { resume, train } from '@lockstep/coordinator/train.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { describeNetwork } from '@lockstep/shared/models/description.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { narrateTraining } from '../training/narrated-training.js'
import type { Narrator } from '../terminal/narrator.js'
import type { ExperimentFolder } from './experiment-folder.js'
import { courseOf, parseMetrics } from './training-course.js'
import type { PlannedTraining } from './training-plan.js'
import type { TrainingResult } from './training-result.js'

export interface ExperimentTraining {
  readonly training: PlannedTraining
  readonly recipe: Recipe
  /** Id of the training whose layers it begins with, or null. */
  readonly source: string | null
  readonly classes: number
  readonly folder: ExperimentFolder
  readonly signal: AbortSignal | undefined
}

/**
 * One training of the experiment: begun, or gone on with where it was stopped. A loss or weight that is not finite is a result; every
 * other error is one.
 * @throws TrainError as `train` does; INTERRUPTED when the signal came
 */
export async function runTraining(order: ExperimentTraining, narrator: Narrator): Promise<TrainingResult> {
  const { training, recipe, source, classes, folder, signal } = order
  const path = folder.runPath(training.id)
  const stopped = `stopped in ${training.id}; go on with: lockstep experiment depth --out ${folder.path} --resume`
  let ended: { readonly diverged: string | null; readonly stateDigest: string | null }
  try {
    const outcome = await narrateTraining(await eventsOf(order, path), { signal, stopped }, narrator)
    ended = { diverged: null, stateDigest: outcome.summary.stateDigest }
  } catch (error) {
    if (!(error instanceof TrainError)) throw error
    // aborted before there was anything to save
    if (error.code === 'INTERRUPTED') throw new TrainError('INTERRUPTED', stopped, { cause: error })
    if (error.code !== 'NON_FINITE') throw error
    ended = { diverged: error.message, stateDigest: null }
  }
  const course = courseOf(parseMetrics(await readFile(join(path, METRICS_FILE), 'utf8')))
  const { parameters, macs } = describeNetwork(networkOf(recipe.model, classes))
  return { ...training, source, ...course, ...ended, parameters, work: macs * recipe.batch.global * course.steps }
}

async function eventsOf({ recipe, training, folder, signal }: ExperimentTraining, path: string): Promise<AsyncIterable<TrainEvent>> {
  const options = signal === undefined ? {} : { signal }
  const begun = await RunDirectory.open(path).catch((error: unknown) => {
    if (error instanceof TrainError && error.code === 'RUN_MISSING') return undefined
    throw error
  })
  if (begun !== undefined && (await begun.checkpoints()).length > 0) return resume(path, options)
  // stopped before its first checkpoint: nothing of it is worth keeping
  await folder.forgetRun(training.id)
  return train(recipe, { runDirectory: path, ...options })
}

/** What comes of a training whose beginning there is not: every A of its seed diverged. */
export function unbegun({ training, recipe, classes }: Pick<ExperimentTraining, 'training' | 'recipe' | 'classes'>): TrainingResult {
  const { parameters } = describeNetwork(networkOf(recipe.model, classes))
  return {
    ...{ ...training, source: null, ...courseOf([]), parameters, work: 0, stateDigest: null },
    diverged: `every training of A that it may begin with diverged (${training.after.join(', ')})`,
  }
}
