import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { BEGINNINGS, CONFIGURATIONS, type PlanChoice } from './training-plan.js'

/** What an experiment is asked for, and what it is when nothing is said. Pure. */

export const PRESETS = ['fast', 'full'] as const
export type Preset = (typeof PRESETS)[number]

/** What decides a training's bits, apart from its place in the plan: two experiments that differ here share no training. */
export interface ExperimentIdentity {
  /** `digits`, `emoji`, or an absolute path. */
  readonly data: string
  readonly preset: Preset
  /** `path=value`, as --set has it, after those of the preset. */
  readonly set: readonly string[]
}

export interface ExperimentSettings extends ExperimentIdentity, PlanChoice {}

const SEEDS: Record<Preset, readonly number[]> = { fast: [1, 2], full: [1, 2, 3] }

/** The settings that options leave open. */
export function completeSettings({
  data = 'digits',
  preset = 'fast',
  set = [],
  ...choice
}: Partial<ExperimentSettings>): ExperimentSettings {
  const { configurations = CONFIGURATIONS, beginnings = BEGINNINGS, seeds = SEEDS[preset] } = choice
  return { data, preset, set, configurations, beginnings, seeds }
}

/** What the experiment decides itself, and the option that says it. */
const OWN_KEYS: readonly (readonly [path: string, instead: string])[] = [
  ['name', 'it follows from configuration, initialization and seed'],
  ['seed', 'say --seeds'],
  ['model.name', 'say --configurations'],
  ['initialization', 'say --initializations'],
  ['data.train', 'say --data'],
  ['data.validation', 'say --data'],
]

/** @throws TrainError USAGE for a --set that would be overridden */
export function requireFreeKeys(set: readonly string[]): void {
  for (const text of set) {
    const path = text.slice(0, Math.max(0, text.indexOf('='))).trim()
    const own = OWN_KEYS.find(([key]) => path === key || path.startsWith(`${key}.`))
    if (own !== undefined) throw new TrainError('USAGE', `--set ${text}: the experiment sets ${own[0]} itself: ${own[1]}`)
  }
}

/** The recipe of a preset, by its name among the project's. */
export function presetRecipe(preset: Preset): string {
  return `depth-${preset}`
}

/** Pictures that the presets know: `full` takes them as they are, `fast` no larger than it must. */
interface PictureSettings {
  readonly inputSize: Record<Preset, number>
  /** Whether a mirrored picture still shows the same. */
  readonly flip: boolean
}

const DIGITS: PictureSettings = { inputSize: { fast: 32, full: 32 }, flip: false }
const EMOJI: PictureSettings = { inputSize: { fast: 32, full: 64 }, flip: true }
/** Unknown pictures: the paper's size where there is time. They are not mirrored, since they may be letters. */
const FOLDER: PictureSettings = { inputSize: { fast: 32, full: 224 }, flip: false }

/** The paper cuts 224 pixels from 256. */
const SHORT_SIDE_RATIO = 8 / 7

/** `path=value` that a preset's recipe gets for the pictures it is to be trained on. */
export function pictureSettings(
  { data, preset }: ExperimentIdentity,
  { train, validation }: { readonly train: string; readonly validation: string | null },
): string[] {
  const { inputSize, flip } = data === 'digits' ? DIGITS : data === 'emoji' ? EMOJI : FOLDER
  const size = inputSize[preset]
  const augmented =
    preset === 'full' ? [`data.augment.shortSide=${String(Math.round(size * SHORT_SIDE_RATIO))}`, `data.augment.flip=${String(flip)}`] : []
  return [
    `data.train=${JSON.stringify(train)}`,
    `data.validation=${validation === null ? '{split: 0.1}' : JSON.stringify(validation)}`,
    `model.inputSize=${String(size)}`,
    ...augmented,
  ]
}
