import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { splitIndices } from '@lockstep/shared/sampling/split.js'
import { chooseClasses, type ChosenClasses } from './chosen-classes.js'
import { combinedDigest, type DataDigests } from './data-digests.js'
import { datasetDigest, statisticsDigest } from './dataset-digest.js'
import { findFolder } from './find-folder.js'
import { openFolder } from './open-folder.js'
import type { OnDataProgress } from './progress.js'
import type { SampleFolder, SampleSource } from './sample-folder.js'
import { SampleSubset } from './sample-subset.js'

export interface OpenTrainingDataOptions {
  readonly seed: number
  readonly inputSize: number
  /** A worker's `--data`: the data sets with the expected digests are looked for in it and its direct subfolders. */
  readonly directory?: string | undefined
  /** The coordinator's digests; anything else is refused. */
  readonly expected?: DataDigests | undefined
  /** Where indexes of plain folders are kept. Default: the user's cache directory. */
  readonly cacheDirectory?: string | undefined
  readonly onProgress?: OnDataProgress | undefined
}

export type Rgb = [number, number, number]

/** The colour statistics that enter pixels: normalisation and the colour shift. */
export interface ColorBasis {
  /** Of the covariance of RGB in 0–1 units, largest first. */
  readonly eigenvalues: number[]
  /** eigenvectors[k] belongs to eigenvalues[k]. */
  readonly eigenvectors: number[][]
}

export interface TrainingData {
  readonly train: SampleSource
  readonly validation: SampleSource
  readonly classes: string[]
  /** Mean RGB of the training folder, 0–255: of all its classes, chosen or not. */
  readonly mean: Rgb
  /** Standard deviation of RGB of the training folder, 0–255. */
  readonly std: Rgb
  readonly color: ColorBasis
  /** One digest over `digests`. */
  readonly digest: string
  readonly digests: DataDigests
  close(): Promise<void>
}

/**
 * Opens the training and validation sets of a recipe.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT; RECIPE_INVALID when validation has other classes, when one of `data.classes` is not there, or
 *   the split leaves nothing;
 *   WORKER_REFUSED_DATA when the data is not what `expected` says
 */
export async function openTrainingData(data: Recipe['data'], options: OpenTrainingDataOptions): Promise<TrainingData> {
  const opened: SampleFolder[] = []
  try {
    const folder = await openPart('training', data.train, options)
    opened.push(folder)
    const chosen = chooseClasses(folder, data.classes)
    const { train, validation, validationDigest, validationSamples } = await openValidation(data, folder, chosen, options, opened)
    const { classes } = chosen
    const { mean, std, eigenvalues, eigenvectors, digest, samples } = folder.description
    const digests: DataDigests = {
      train: digest,
      validation: validationDigest,
      statistics: statisticsDigest(folder.description),
      trainSamples: samples,
      validationSamples,
    }
    if (options.expected !== undefined) requireSame(digests, options.expected, folder.path)
    return {
      train,
      validation,
      classes,
      mean,
      std,
      color: { eigenvalues, eigenvectors },
      digest: combinedDigest(digests),
      digests,
      close: () => closeAll(opened),
    }
  } catch (error) {
    await closeAll(opened)
    throw error
  }
}

async function closeAll(folders: readonly SampleFolder[]): Promise<void> {
  await Promise.all(folders.map((folder) => folder.close()))
}

async function openPart(part: 'training' | 'validation', path: string, options: OpenTrainingDataOptions): Promise<SampleFolder> {
  const { directory, expected } = options
  if (directory === undefined || expected === undefined) return openFolder(path, options)
  const wanted =
    part === 'training'
      ? { digest: expected.train, samples: expected.trainSamples }
      : { digest: expected.validation, samples: expected.validationSamples }
  return findFolder(directory, { part, ...wanted }, options)
}

interface Parts {
  readonly train: SampleSource
  readonly validation: SampleSource
  readonly validationDigest: string
  readonly validationSamples: number
}

async function openValidation(
  { validation, train: path, classes: wanted }: Recipe['data'],
  folder: SampleFolder,
  { source, samples, classes }: ChosenClasses,
  options: OpenTrainingDataOptions,
  opened: SampleFolder[],
): Promise<Parts> {
  if (typeof validation === 'string') {
    const other = await openPart('validation', validation, options)
    opened.push(other)
    if (wanted === undefined) requireSameClasses(classes, other.description.classes, other.path)
    const { source: validated } = chooseClasses(other, wanted)
    return { train: source, validation: validated, validationDigest: other.description.digest, validationSamples: other.size }
  }
  const labels = Uint32Array.from({ length: source.size }, (_, i) => source.label(i))
  const split = splitIndices(labels, validation.split, options.seed)
  if (split.validation.length === 0) {
    throw new TrainError(
      'RECIPE_INVALID',
      `data.validation.split leaves no pictures for validation: every class of ${path} has a single picture; name a validation folder`,
    )
  }
  const aside = Array.from(split.validation, (i) => {
    const sample = samples?.[i] ?? i
    return { label: source.label(i), crc: folder.crc(sample), length: folder.length(sample) }
  })
  return {
    train: new SampleSubset(source, split.train),
    validation: new SampleSubset(source, split.validation),
    validationDigest: datasetDigest(classes, aside),
    validationSamples: 0,
  }
}

/** @throws TrainError RECIPE_INVALID naming the classes that only one of the two has */
export function requireSameClasses(expected: readonly string[], found: readonly string[], path: string): void {
  const missing = expected.filter((name) => !found.includes(name))
  const other = found.filter((name) => !expected.includes(name))
  if (missing.length === 0 && other.length === 0) return
  const list = (names: readonly string[]): string =>
    names.slice(0, 5).join(', ') + (names.length > 5 ? `, … (${String(names.length)})` : '')
  const parts = [
    ...(missing.length > 0 ? [`${list(missing)} missing`] : []),
    ...(other.length > 0 ? [`${list(other)} unknown to training`] : []),
  ]
  throw new TrainError(
    'RECIPE_INVALID',
    `the classes of ${path} differ from those trained on: ${parts.join('; ')}; give it the same class folders`,
  )
}

function requireSame(found: DataDigests, expected: DataDigests, path: string): void {
  const short = (digest: string): string => digest.slice(0, 12)
  for (const [part, what] of [
    ['train', 'the training pictures'],
    ['validation', 'the validation pictures'],
    ['statistics', 'mean, standard deviation and colour eigenvectors'],
  ] as const) {
    if (found[part] === expected[part]) continue
    const counts = part === 'train' ? ` (${String(found.trainSamples)} pictures here, ${String(expected.trainSamples)} there)` : ''
    throw new TrainError(
      'WORKER_REFUSED_DATA',
      `${what} of ${path} are not the coordinator's: digest ${short(found[part])} here, ${short(expected[part])} there${counts}; copy the coordinator's data here and name its folder with --data`,
    )
  }
}
