import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/** What a scaling experiment runs, in which order and on which cores. Pure. */

export interface ScalingSettings {
  /** File of the recipe, as a person names it. */
  readonly recipe: string
  /** Counts of workers, rising. */
  readonly workers: readonly number[]
  readonly repetitions: number
  /** Steps that are measured. */
  readonly steps: number
  /** Steps before them: they meet fresh memory and unknown speeds. */
  readonly warmUpSteps: number
  /** `path=value`, as --set has it. */
  readonly set: readonly string[]
}

export interface PlannedSample {
  /** From 1. */
  readonly round: number
  readonly workers: number
  /** Cores that the whole training is confined to; null: it is not. */
  readonly cores: readonly number[] | null
}

/** The step whose state digest is compared: one after the measured ones, so that hashing is not measured. */
export function digestStep({ warmUpSteps, steps }: Pick<ScalingSettings, 'warmUpSteps' | 'steps'>): number {
  return warmUpSteps + steps + 1
}

/**
 * Every count once a round, in turn, every second round backwards: a machine that grows slower does so for all of them.
 * @param threads compute threads of a worker
 * @param cores that we may use; null where nothing can be confined
 */
export function planSamples(
  { workers, repetitions }: Pick<ScalingSettings, 'workers' | 'repetitions'>,
  threads: number,
  cores: readonly number[] | null,
): PlannedSample[] {
  return Array.from({ length: repetitions }, (_, round) => {
    const order = round % 2 === 0 ? workers : [...workers].reverse()
    return order.map((count) => ({
      round: round + 1,
      workers: count,
      cores: cores === null ? null : coresFor(count * threads, round, cores),
    }))
  }).flat()
}

/** As many as are wanted, or all; other ones every round, since cores need not be alike. */
function coresFor(wanted: number, round: number, cores: readonly number[]): number[] {
  if (wanted >= cores.length) return [...cores]
  return Array.from({ length: wanted }, (_, index) => cores[(round + index) % cores.length] ?? 0).sort((one, other) => one - other)
}

/** Beyond every step that is run: a training is stopped when it was measured, so no evaluation and no checkpoint falls into it. */
const FAR = 1_000_000

/** The recipe as it is run: nothing above `run` that touches the weights is changed. */
export function measuredRecipe(recipe: Recipe, workers: number, settings: Pick<ScalingSettings, 'warmUpSteps' | 'steps'>): Recipe {
  const { epochs: _epochs, ...whole } = recipe
  const { everyEpochs: _everyEpochs, ...evaluation } = recipe.evaluation
  return {
    ...whole,
    steps: FAR,
    evaluation: { ...evaluation, everySteps: FAR },
    run: {
      ...recipe.run,
      workers: { ...recipe.run.workers, count: workers, minimum: workers, maximum: Math.max(workers, recipe.run.workers.maximum) },
      checkpoint: { ...recipe.run.checkpoint, everySteps: FAR, digestEverySteps: digestStep(settings) },
    },
  }
}

/** M: more workers than this cannot all compute. */
export function leavesOf({ batch }: Recipe): number {
  return batch.global / (batch.micro * batch.leaf)
}

/** @throws TrainError USAGE for counts that the recipe's batch cannot be split among */
export function requireEnoughLeaves(recipe: Recipe, workers: readonly number[]): void {
  const leaves = leavesOf(recipe)
  const most = Math.max(...workers)
  if (most <= leaves) return
  const { global, micro, leaf } = recipe.batch
  throw new TrainError(
    'USAGE',
    `--workers ${workers.join(',')}: a step of this recipe has ${String(leaves)} leaves (batch.global ${String(global)} / (micro ${String(micro)} · leaf ${String(leaf)})), too few for ${String(most)} workers: take a larger batch.global or a smaller batch.micro with --set`,
  )
}

/** What the experiment decides itself, and what to say instead. */
const OWN_KEYS: readonly (readonly [path: string, instead: string])[] = [
  ['steps', 'say --steps'],
  ['epochs', 'say --steps'],
  ['run.workers.count', 'say --workers'],
  ['run.workers.minimum', 'say --workers'],
  ['run.checkpoint', 'nothing is saved while it measures'],
  ['evaluation.everySteps', 'nothing is evaluated while it measures'],
  ['evaluation.everyEpochs', 'nothing is evaluated while it measures'],
]

/** @throws TrainError USAGE for a --set that would be overridden */
export function requireMeasurableKeys(set: readonly string[]): void {
  for (const text of set) {
    const path = text.slice(0, Math.max(0, text.indexOf('='))).trim()
    const own = OWN_KEYS.find(([key]) => path === key || path.startsWith(`${key}.`))
    if (own !== undefined) throw new TrainError('USAGE', `--set ${text}: the experiment sets ${own[0]} itself: ${own[1]}`)
  }
}

/** The command that repeats it. */
export function scalingCommand({ recipe, workers, repetitions, steps, warmUpSteps, set }: ScalingSettings): string {
  return [
    'lockstep experiment scaling',
    quoted(recipe),
    `--workers ${workers.join(',')}`,
    `--repetitions ${String(repetitions)}`,
    `--steps ${String(steps)}`,
    `--warm-up ${String(warmUpSteps)}`,
    ...set.map((one) => `--set ${quoted(one)}`),
  ].join(' ')
}

function quoted(word: string): string {
  return /^[\w./,=:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
