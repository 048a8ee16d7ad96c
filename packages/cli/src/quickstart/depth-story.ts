import type { BaselineRow, TrainingRow } from './results-table.js'

/**
 * The VGG paper's story of section 3.1.1 in four trainings: a shallow network learns from random weights; a deep one from
 * the same kind of weights does not, or only just; the deep one takes off when it begins with the shallow one's layers. Pure.
 */

/** One training: which recipe, changed how. */
export interface Training {
  readonly configuration: string
  readonly initialization: string
  readonly recipe: 'digits-vgg-a' | 'digits-vgg-d'
  /** `path=value`, as --set has it. */
  readonly set: readonly string[]
}

/** VGG-A from random weights (He). */
export function shallowTraining(seed: number): Training {
  return {
    configuration: 'VGG-A',
    initialization: 'random, He',
    recipe: 'digits-vgg-a',
    set: ['name=quickstart-vgg-a', `seed=${String(seed)}`],
  }
}

/** VGG-D three times, everything but the beginning the same. @param checkpoint a checkpoint of the shallow training */
export function deepTrainings(seed: number, checkpoint: string): Training[] {
  const deep = (name: string, initialization: string, ...set: string[]): Training => ({
    configuration: 'VGG-D',
    initialization,
    recipe: 'digits-vgg-d',
    set: [`name=quickstart-vgg-d-${name}`, `seed=${String(seed)}`, ...set],
  })
  return [
    deep('normal', 'random, N(0, 0.01²)', 'initialization.method=normal', 'initialization.std=0.01'),
    deep('he', 'random, He', 'initialization.method=he'),
    deep('from-a', 'from A, the rest He', 'initialization.method=he', `initialization.from=${checkpoint}`),
  ]
}

/** What the four trainings and the yardstick came to. */
export interface DepthResults {
  readonly trainings: readonly TrainingRow[]
  readonly baseline: BaselineRow
}

/** What a person should know about the results, as they came out; nothing is said that did not happen. */
export function remarks({ trainings, baseline }: DepthResults): string[] {
  const top1 = (name: string, initialization?: string): number =>
    trainings.find((row) => row.configuration === name && (initialization === undefined || row.initialization === initialization))?.top1 ??
    Number.NaN
  const said: string[] = []
  const shallow = top1('VGG-A')
  if (shallow <= baseline.top1) said.push('VGG-A did not beat the nearest neighbour this time.')
  const [fromA, he] = [top1('VGG-D', 'from A, the rest He'), top1('VGG-D', 'random, He')]
  if (fromA <= he) said.push('VGG-D from A did not come out above VGG-D from random weights this time; another seed may.')
  return said
}
