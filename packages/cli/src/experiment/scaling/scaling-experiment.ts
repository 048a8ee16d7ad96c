import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { allowedCores, canConfine } from '../../measurement/allowed-cores.js'
import { makeDigits } from '../../picture-sets/digits.js'
import { DATASETS_FOLDER } from '../../project-folders.js'
import type { Narrator } from '../../terminal/narrator.js'
import { count, duration, percent, significant } from '../../terminal/units.js'
import { scalingReport, type ScalingReport } from './scaling-report.js'
import { leavesOf, planSamples, type PlannedSample, type ScalingSettings } from './scaling-plan.js'
import type { ScalingSample } from './scaling-sample.js'
import { takeSample } from './scaling-training.js'

export interface ScalingOrder {
  readonly settings: ScalingSettings
  readonly recipe: Recipe
  /** Of the experiment. */
  readonly folder: string
  readonly signal: AbortSignal
}

/**
 * Trains a recipe at every count of workers, several times in turn, and compares.
 * @throws TrainError as `train` does; INTERRUPTED when the signal came
 */
export async function runScalingExperiment(order: ScalingOrder, narrator: Narrator): Promise<ScalingReport> {
  const { settings, recipe, signal } = order
  try {
    await prepareDigits(recipe, narrator, signal)
    const cores = await allowedCores()
    const confined = await canConfine(cores)
    const threads = recipe.run.workers.computeThreads
    const plan = planSamples(settings, threads, confined ? cores : null)
    const rounds = settings.repetitions === 1 ? 'one round' : `${count(settings.repetitions)} rounds`
    narrator.act(`${count(plan.length)} trainings: ${settings.workers.join(', ')} workers, ${rounds}`)
    const crowded = settings.workers.filter((workers) => workers * threads > cores.length)
    if (crowded.length > 0)
      narrator.line(`   ${crowded.join(' and ')} workers share ${String(cores.length)} cores: judged by processor time`)
    if (!confined) narrator.line('   nothing can be confined to cores here (no taskset): judged by processor time')
    const samples = await takeAll(plan, order, narrator)
    return scalingReport({
      settings,
      subject: {
        model: recipe.model.name,
        inputSize: recipe.model.inputSize,
        parameters: samples[0]?.parameters ?? 0,
        globalBatch: recipe.batch.global,
        leaves: leavesOf(recipe),
        computeThreads: threads,
      },
      machine: { cores: cores.length, confined },
      samples,
    })
  } finally {
    narrator.settle()
  }
}

/** The recipe that comes with the experiment learns digits: they are made where they are not there yet. */
async function prepareDigits({ data }: Recipe, narrator: Narrator, signal: AbortSignal): Promise<void> {
  const folder = join(DATASETS_FOLDER, 'digits')
  if (data.train !== join(folder, 'train')) return
  await makeDigits(folder, {
    signal,
    onProgress: ({ what, done, total }) => {
      narrator.progress(done, total, what)
    },
  })
  narrator.settle()
}

async function takeAll(plan: readonly PlannedSample[], order: ScalingOrder, narrator: Narrator): Promise<ScalingSample[]> {
  const { settings, recipe, folder, signal } = order
  const samples: ScalingSample[] = []
  const startMs = performance.now()
  for (const [index, planned] of plan.entries()) {
    if (signal.aborted) throw new TrainError('INTERRUPTED', 'stopped between two trainings')
    const workers = planned.workers === 1 ? '1 worker' : `${String(planned.workers)} workers`
    const title = `round ${String(planned.round)}, ${workers}`
    const name = `${String(index + 1).padStart(3)}/${String(plan.length)}  ${title}`
    narrator.status(name)
    const run = join(folder, 'runs', `round-${String(planned.round)}-workers-${String(planned.workers)}`)
    const sample = await takeSample({ plan: planned, recipe, settings, folder: run, title, signal }, narrator)
    samples.push(sample)
    const left = ((performance.now() - startMs) / 1000 / samples.length) * (plan.length - samples.length)
    narrator.line(`${name}: ${wordsOf(sample)}${left > 0 ? ` · about ${duration(left)} left` : ''}`)
  }
  return samples
}

function wordsOf({ images, seconds, cpuSeconds, foreign, disturbed }: ScalingSample): string {
  const beside = disturbed ? `, others took ${percent(Math.max(0, foreign))}` : ''
  return `${significant(images / seconds)} images/s, ${significant(cpuSeconds / images)} CPU s an image${beside}`
}
