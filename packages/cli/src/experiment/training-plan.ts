/** Which trainings the shallow-to-deep experiment consists of. Pure. */

export const CONFIGURATIONS = ['vgg-a', 'vgg-a-lrn', 'vgg-b', 'vgg-c', 'vgg-d', 'vgg-e'] as const
export type Configuration = (typeof CONFIGURATIONS)[number]

/** Where the first weights come from. */
export const BEGINNINGS = ['normal-0.01', 'normal-0.1', 'he', 'glorot', 'from-a'] as const
export type Beginning = (typeof BEGINNINGS)[number]

/**
 * A is always trained from these random weights, whatever else it begins with, and A-LRN from nothing else. Glorot's are what the
 * paper's authors recommend in hindsight, and with them A learned at every setting tried (docs/decisions.md).
 */
export const PLAIN_BEGINNING = 'glorot' satisfies Beginning

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
  /** Ids of the trainings of A that it may begin with, the best of them counting; empty: all its weights are random. */
  readonly after: readonly string[]
}

export interface PlanChoice {
  readonly configurations: readonly Configuration[]
  readonly beginnings: readonly Beginning[]
  readonly seeds: readonly number[]
}

/**
 * The trainings in the order in which they are run: a seed after the other, the shallow ones first, since the deep ones
 * begin with layers of theirs. A is always among them. A from A goes on for as many steps again: what the deeper ones from A are
 * fairly compared with. A-LRN begins in one way only, for the comparison with A.
 */
export function planTrainings({ configurations, beginnings, seeds }: PlanChoice): PlannedTraining[] {
  const wanted = CONFIGURATIONS.filter((configuration) => configuration === 'vgg-a' || configurations.includes(configuration))
  return seeds.flatMap((seed) => {
    const sources = beginningsOf('vgg-a', beginnings).filter(isRandom)
    return wanted.flatMap((configuration) =>
      beginningsOf(configuration, beginnings).map((beginning) => ({
        id: idOf(configuration, beginning, seed),
        configuration,
        beginning,
        seed,
        after: isRandom(beginning) ? [] : sources.map((source) => idOf('vgg-a', source, seed)),
      })),
    )
  })
}

function beginningsOf(configuration: Configuration, wanted: readonly Beginning[]): Beginning[] {
  if (configuration === 'vgg-a-lrn') return [PLAIN_BEGINNING]
  return BEGINNINGS.filter((beginning) => wanted.includes(beginning) || (configuration === 'vgg-a' && beginning === PLAIN_BEGINNING))
}

function isRandom(beginning: Beginning): boolean {
  return beginning !== 'from-a'
}

function idOf(configuration: Configuration, beginning: Beginning, seed: number): string {
  return `${configuration}-${beginning}-seed-${String(seed)}`
}

/** `path=value` of a training, as --set has it, besides those of the preset; the checkpoint that it begins with is not known yet. */
export function settingsOf({ id, seed, configuration, beginning }: PlannedTraining): string[] {
  return [`name=${id}`, `seed=${String(seed)}`, `model.name=${configuration}`, ...SETTINGS[beginning]]
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
