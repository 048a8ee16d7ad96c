import { join } from 'node:path'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import { describeNetwork } from '@lockstep/shared/models/description.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { loadRecipe, resolveRecipe } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { measureInitialSignals } from '@lockstep/worker/standalone/measure-initial-signals.js'
import { lookAtPictures } from '../first-recipe/picture-facts.js'
import { makeDigits } from '../picture-sets/digits.js'
import { makeEmoji } from '../picture-sets/emoji.js'
import { DATASETS_FOLDER, recipeFile } from '../project-folders.js'
import type { Narrator } from '../terminal/narrator.js'
import { shownPath } from '../terminal/paths.js'
import { count, duration, percent } from '../terminal/units.js'
import { bestCheckpoint } from '../training/narrated-training.js'
import { mean } from './comparison.js'
import { measureYardsticks, type DataYardsticks } from './data-yardsticks.js'
import { depthReport, type DepthReport } from './depth-report.js'
import type { ExperimentFolder } from './experiment-folder.js'
import { pictureSettings, presetRecipe, type ExperimentSettings } from './experiment-settings.js'
import { runTraining, unbegun } from './experiment-training.js'
import { secondsLeft } from './remaining-time.js'
import type { MeasuredSignal } from './signal-fate.js'
import { beginningTitle, configurationTitle, planTrainings, settingsOf, type PlannedTraining } from './training-plan.js'
import { bestOf, fateOf, finalEvaluation, type TrainingResult } from './training-result.js'

/** A training with its recipe and its size. */
interface ReadyTraining extends Planned {
  /** Multiply-adds forward of all its steps. */
  readonly work: number
}

/**
 * The shallow-to-deep experiment, from wherever it was.
 * @param folder held by this process
 * @throws TrainError as `train` does, but for losses that are not finite, which are results; INTERRUPTED when the signal came
 */
export async function runDepthExperiment(
  settings: ExperimentSettings,
  folder: ExperimentFolder,
  narrator: Narrator,
  signal?: AbortSignal,
): Promise<DepthReport> {
  try {
    narrator.act('The pictures')
    const pictures = await preparePictures(settings, narrator, signal)
    const plan = await Promise.all(planTrainings(settings).map((training) => planned(training, settings, pictures)))
    const yardsticks = await yardsticksOf(plan, folder, narrator, signal)
    const { chance, nearestNeighbour, classes } = yardsticks
    narrator.line(
      `   ${count(yardsticks.trainPictures)} pictures to train on, ${count(chance.pictures)} to test, ${count(classes)} classes`,
    )
    narrator.line(
      `   the largest class is ${percent(chance.top1)} of them, the nearest neighbour on pixels gets ${percent(nearestNeighbour.top1)} right`,
    )

    narrator.act(`${count(plan.length)} trainings in ${shownPath(folder.path)}`)
    const trainings = await trainAll(withWork(plan, yardsticks), { folder, yardsticks, signal }, narrator)

    narrator.act('The signal at initialization')
    const signals = await signalsOf(plan, trainings, { folder, yardsticks, signal }, narrator)

    const recipe = plan[0]?.recipe
    invariant(recipe !== undefined, 'an experiment has trainings')
    return depthReport({ settings, recipe, yardsticks, trainings, signals })
  } finally {
    narrator.settle()
  }
}

interface Pictures {
  readonly train: string
  readonly validation: string | null
}

async function preparePictures({ data }: ExperimentSettings, narrator: Narrator, signal: AbortSignal | undefined): Promise<Pictures> {
  if (data !== 'digits' && data !== 'emoji') return await lookAtPictures(data)
  const make = data === 'digits' ? makeDigits : makeEmoji
  const made = await make(join(DATASETS_FOLDER, data), {
    signal,
    onProgress: ({ what, done, total }) => narrator.progress(done, total, what),
  })
  narrator.settle()
  return made
}

interface Planned {
  readonly training: PlannedTraining
  /** Without the checkpoint that it may begin with: see {@link beginningWith}. */
  readonly recipe: Recipe
}

async function planned(training: PlannedTraining, settings: ExperimentSettings, pictures: Pictures): Promise<Planned> {
  const set = [...pictureSettings(settings, pictures), ...settings.set, ...settingsOf(training)]
  const { recipe } = await loadRecipe(recipeFile(presetRecipe(settings.preset)), { set })
  return { training, recipe }
}

/** @param source id of the training of A whose layers are taken, or null */
function beginningWith(recipe: Recipe, source: string | null, folder: ExperimentFolder): Recipe {
  if (source === null) return recipe
  return { ...recipe, initialization: { ...recipe.initialization, from: bestCheckpoint(folder.runPath(source)) } }
}

/** A split is keyed by the seed, so that every seed has test pictures of its own; what is told then are means. */
async function yardsticksOf(
  plan: readonly { readonly recipe: Recipe }[],
  folder: ExperimentFolder,
  narrator: Narrator,
  signal: AbortSignal | undefined,
): Promise<DataYardsticks> {
  const bySet = new Map(
    plan.map(({ recipe }) => [typeof recipe.data.validation === 'string' ? 'all' : `seed-${String(recipe.seed)}`, recipe] as const),
  )
  const all: DataYardsticks[] = []
  for (const [name, recipe] of bySet) {
    const known = await folder.yardsticks(name)
    const measured = known ?? (await measureYardsticks(recipe, narrator, signal))
    if (known === undefined) await folder.writeYardsticks(name, measured)
    all.push(measured)
  }
  const [first] = all
  invariant(first !== undefined, 'an experiment has pictures')
  return {
    ...first,
    chance: { ...first.chance, top1: mean(all.map(({ chance }) => chance.top1)) },
    nearestNeighbour: {
      ...first.nearestNeighbour,
      top1: mean(all.map(({ nearestNeighbour }) => nearestNeighbour.top1)),
      seconds: mean(all.map(({ nearestNeighbour }) => nearestNeighbour.seconds)),
    },
  }
}

function withWork(plan: readonly Planned[], { trainPictures, classes }: DataYardsticks): ReadyTraining[] {
  return plan.map((ready) => {
    const { macs } = describeNetwork(networkOf(ready.recipe.model, classes))
    return { ...ready, work: macs * ready.recipe.batch.global * resolveRecipe(ready.recipe, trainPictures).steps }
  })
}

interface Conditions {
  readonly folder: ExperimentFolder
  readonly yardsticks: DataYardsticks
  readonly signal: AbortSignal | undefined
}

/** What is over already is not done again. */
async function trainAll(plan: readonly ReadyTraining[], conditions: Conditions, narrator: Narrator): Promise<TrainingResult[]> {
  const { folder, yardsticks, signal } = conditions
  const known = new Map<string, TrainingResult>()
  for (const { training } of plan) {
    const result = await folder.result(training.id)
    if (result !== undefined) known.set(training.id, result)
  }
  if (known.size > 0) narrator.line(`   ${count(known.size)} of them are there already`)
  const results: TrainingResult[] = []
  const timed: { work: number; seconds: number }[] = []
  for (const [index, ready] of plan.entries()) {
    const before = known.get(ready.training.id)
    if (before !== undefined) {
      results.push(before)
      continue
    }
    if (signal?.aborted === true) throw new TrainError('INTERRUPTED', 'stopped between two trainings')
    const name = `${String(index + 1).padStart(3)}/${String(plan.length)}  ${titleOf(ready.training)}`
    narrator.status(name)
    const started = performance.now()
    const result = await trainOne(ready, results, conditions, narrator)
    await folder.writeResult(result)
    results.push(result)
    timed.push({ work: result.work, seconds: (performance.now() - started) / 1000 })
    const left = plan.slice(index + 1).filter(({ training }) => !known.has(training.id))
    const seconds = secondsLeft(
      timed,
      left.map(({ work }) => work),
    )
    const rest = left.length === 0 ? '' : ` · about ${duration(seconds)} left`
    narrator.line(`${name}: ${wordsOf(result, yardsticks)} in ${result.seconds.toFixed(0)} s${rest}`)
  }
  return results
}

async function trainOne(
  { training, recipe }: ReadyTraining,
  before: readonly TrainingResult[],
  { folder, yardsticks, signal }: Conditions,
  narrator: Narrator,
): Promise<TrainingResult> {
  const { classes } = yardsticks
  const source = bestOf(before.filter(({ id }) => training.after.includes(id)))?.id ?? null
  if (training.after.length > 0 && source === null) return unbegun({ training, recipe, classes })
  return await runTraining({ training, recipe: beginningWith(recipe, source, folder), source, classes, folder, signal }, narrator)
}

function titleOf({ configuration, beginning, seed }: PlannedTraining): string {
  return `${configurationTitle(configuration)}, ${beginningTitle(configuration, beginning)}, seed ${String(seed)}`
}

function wordsOf(result: TrainingResult, { chance }: DataYardsticks): string {
  const top1 = finalEvaluation(result)?.top1
  return top1 === undefined ? `diverges at step ${String(result.steps + 1)}` : `top-1 ${percent(top1)}, ${fateOf(result, chance)}`
}

/** Of the first seed's trainings, once every checkpoint that networks begin with is there. */
async function signalsOf(
  plan: readonly Planned[],
  trainings: readonly TrainingResult[],
  { folder, signal }: Conditions,
  narrator: Narrator,
): Promise<readonly MeasuredSignal[]> {
  const seed = trainings[0]?.seed
  const measured = trainings.filter((training) => training.seed === seed && (training.after.length === 0 || training.source !== null))
  const known = await folder.signals()
  if (known?.map(nameOf).join() === measured.map(nameOf).join()) return known
  const recipes = measured.map(({ id, source }) => {
    const own = plan.find(({ training }) => training.id === id)
    invariant(own !== undefined, 'what was trained was planned')
    return beginningWith(own.recipe, source, folder)
  })
  const reports = await measureInitialSignals({
    recipes,
    computeThreads: 1,
    logFile: join(folder.path, 'measured', 'signals.log'),
    onProgress: ({ done, total }) => narrator.progress(done, total, 'networks measured'),
    signal,
  })
  narrator.settle()
  const signals = measured.map(({ configuration, beginning }, index): MeasuredSignal => {
    const [report, recipe] = [reports[index], recipes[index]]
    invariant(report !== undefined && recipe !== undefined && seed !== undefined, 'every recipe has its signal')
    return { configuration, beginning, seed, learningRate: recipe.learningRate.initial, ...report }
  })
  await folder.writeSignals(signals)
  return signals
}

function nameOf({ configuration, beginning, seed }: Pick<PlannedTraining, 'configuration' | 'beginning' | 'seed'>): string {
  return `${configuration} ${beginning} ${String(seed)}`
}
