/** Which trainings the shallow-to-deep experiment consists of. Pure. */

export const CONFIGURATIONS = ['vgg-a', 'vgg-a-lrn', 'vgg-b', 'vgg-c', 'vgg-d', 'vgg-e'] as const
export type Configuration = (typeof CONFIGURATIONS)[number]

/** Where the first weights come from. */
export const BEGINNINGS = ['normal-0.01', 'normal-0.1', 'he', 'glorot', 'from-a'] as const
export type Beginning = (typeof BEGINNINGS)[number]

/** A, from which the deeper ones take layers, begins like this. */
export const SOURCE_BEGINNING = 'he' satisfies Beginning

const TITLES: Record<Beginning, string> = {
  'normal-0.01': 'random, N(0, 0.01²)',
  'normal-0.1': 'random, N(0, 0.1²)',
  he: 'random, He',
  glorot: 'random, Glorot',
  'from-a': 'from A',
}

/**
 * The paper says "variance 10⁻²" (section 3.1), a standard deviation of 0.1; others quote a standard deviation of 10⁻². Both are
 * tried.
 */
const SETTINGS: Record<Beginning, readonly string[]> = {
  'normal-0.01': ['initialization.method=normal', 'initialization.std=0.01'],
  'normal-0.1': ['initialization.method=normal', 'initialization.std=0.1'],
  he: ['initialization.method=he'],
  glorot: ['initialization.method=glorot'],
  // the layers that are not copied
  'from-a': ['initialization.method=he'],
}

export interface PlannedTraining {
  /** Names its folder: `vgg-d-he-seed-1`. */
  readonly id: string
  readonly configuration: Configuration
  readonly beginning: Beginning
  readonly seed: number
  /** Id of the training whose best checkpoint it begins with, or null. */
  readonly after: string | null
}

export interface PlanChoice {
  readonly configurations: readonly Configuration[]
  readonly beginnings: readonly Beginning[]
  readonly seeds: readonly number[]
}

/**
 * The trainings in the order in which they are run: a seed after the other, the shallow ones first, since the deep ones
 * begin with layers of theirs. A from He is always among them. A from A goes on for as many steps again: what the deeper ones from
 * A are fairly compared with. A-LRN begins as A does and no other way, for that comparison alone.
 */
export function planTrainings({ configurations, beginnings, seeds }: PlanChoice): PlannedTraining[] {
  return seeds.flatMap((seed) => {
    const source = idOf('vgg-a', SOURCE_BEGINNING, seed)
    const wanted = CONFIGURATIONS.filter((configuration) => configuration === 'vgg-a' || configurations.includes(configuration))
    return wanted.flatMap((configuration) =>
      beginningsOf(configuration, beginnings).map((beginning) => ({
        id: idOf(configuration, beginning, seed),
        configuration,
        beginning,
        seed,
        after: beginning === 'from-a' ? source : null,
      })),
    )
  })
}

function beginningsOf(configuration: Configuration, wanted: readonly Beginning[]): Beginning[] {
  if (configuration === 'vgg-a-lrn') return [SOURCE_BEGINNING]
  const chosen = BEGINNINGS.filter((beginning) => wanted.includes(beginning))
  if (configuration !== 'vgg-a') return chosen
  return [SOURCE_BEGINNING, ...chosen.filter((beginning) => beginning !== SOURCE_BEGINNING)]
}

function idOf(configuration: Configuration, beginning: Beginning, seed: number): string {
  return `${configuration}-${beginning}-seed-${String(seed)}`
}

/** `path=value` of a training, as --set has it, besides those of the preset. @param checkpoint that of `after` */
export function settingsOf(training: PlannedTraining, checkpoint: string | null): string[] {
  return [
    `name=${training.id}`,
    `seed=${String(training.seed)}`,
    `model.name=${training.configuration}`,
    ...SETTINGS[training.beginning],
    ...(checkpoint === null ? [] : [`initialization.from=${JSON.stringify(checkpoint)}`]),
  ]
}

/** `VGG-D`, `A-LRN` is `VGG-A-LRN`. */
export function configurationTitle(configuration: Configuration): string {
  return configuration.toUpperCase()
}

/** The letter that the paper has: `A-LRN`. */
export function configurationLetter(configuration: Configuration): string {
  return configuration.replace('vgg-', '').toUpperCase()
}

export function beginningTitle(configuration: Configuration, beginning: Beginning): string {
  return configuration === 'vgg-a' && beginning === 'from-a' ? 'from A, going on' : TITLES[beginning]
}
