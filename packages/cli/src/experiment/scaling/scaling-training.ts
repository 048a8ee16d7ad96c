import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { METRICS_FILE } from '@lockstep/coordinator/metrics/metrics-log.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { readInstant, windowBetween, type Instant } from '../../measurement/foreign-load.js'
import { TrainingProcess } from '../../measurement/training-process.js'
import type { Narrator } from '../../terminal/narrator.js'
import { significant } from '../../terminal/units.js'
import { parseMetrics } from '../training-course.js'
import { sampleOf, type ScalingSample } from './scaling-sample.js'
import { digestStep, measuredRecipe, type PlannedSample, type ScalingSettings } from './scaling-plan.js'

export interface SampleOrder {
  readonly plan: PlannedSample
  readonly recipe: Recipe
  readonly settings: ScalingSettings
  /** Where its run lies while it goes on. It goes when the sample is taken; that of a training that failed stays, for its logs. */
  readonly folder: string
  /** What a person reads before the figures of a step. */
  readonly title: string
  readonly signal: AbortSignal
}

interface Followed {
  readonly instants: readonly Instant[]
  readonly directory: string
  readonly parameters: number
  readonly stateDigest: string
}

/**
 * One training from its start, measured between the ends of two of its steps, and stopped one step later.
 * @throws TrainError what the training threw; INTERRUPTED when the signal came
 */
export async function takeSample(order: SampleOrder, narrator: Narrator): Promise<ScalingSample> {
  const { plan, recipe, settings, folder, signal } = order
  const { steps, warmUpSteps } = settings
  const measured = measuredRecipe(recipe, plan.workers, settings)
  const training = await TrainingProcess.start(measured, folder, plan.cores ?? undefined, signal)
  let followed: Followed
  try {
    followed = await follow(training, order, narrator)
  } finally {
    await training.stop()
    narrator.settle()
  }
  const { instants, directory, parameters, stateDigest } = followed
  const [first, last] = instants
  if (first === undefined || last === undefined || stateDigest === '')
    throw new TrainError('INTERNAL', `the training ended before its steps could be measured; its logs are in ${join(directory, 'logs')}`)
  const lines = parseMetrics(await readFile(join(directory, METRICS_FILE), 'utf8'))
  await rm(folder, { recursive: true, force: true })
  return sampleOf({
    ...{ plan, window: windowBetween(first, last), globalBatch: recipe.batch.global, steps, warmUpSteps, lines, parameters, stateDigest },
  })
}

async function follow(training: TrainingProcess, { settings, title }: SampleOrder, narrator: Narrator): Promise<Followed> {
  const { steps, warmUpSteps } = settings
  const last = digestStep(settings)
  const instants: Instant[] = []
  let [directory, parameters, stateDigest] = ['', 0, '']
  for await (const event of training.events()) {
    if (event.type === 'started') ({ directory, parameters } = event)
    else if (event.type === 'preparing') narrator.status(`   ${title}: ${event.what} …`)
    else if (event.type === 'warning') narrator.line(`   warning: ${event.message}`)
    if (event.type !== 'step' || event.step > last) continue
    if (event.step === warmUpSteps || event.step === warmUpSteps + steps) instants.push(await readInstant())
    narrator.progress(event.step, last, `${title}: ${significant(event.samplesPerSecond)} images/s`)
    if (event.step < last) continue
    stateDigest = event.stateDigest ?? ''
    void training.stop()
  }
  return { instants, directory, parameters, stateDigest }
}
