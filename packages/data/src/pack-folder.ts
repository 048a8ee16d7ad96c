import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { DatasetDescription } from '@lockstep/shared/sampling/dataset-description.js'
import { packingOrder } from '@lockstep/shared/sampling/sample-stream.js'
import { listClassFolders, type ClassFolders, type ListedPicture } from './class-folders.js'
import { ColorSums } from './color-statistics.js'
import { datasetDigest } from './dataset-digest.js'
import { orderedPool } from './ordered-pool.js'
import { prepareSample, type BrokenSample, type PreparedSample } from './prepared-sample.js'
import type { OnDataProgress } from './progress.js'
import { DESCRIPTION_FILE } from './sample-folder.js'
import { ShardWriter } from './shard-writer.js'

/** Large enough to be read in long stretches, small enough to be copied one by one. */
export const DEFAULT_SHARD_BYTES = 256 * 1024 * 1024

export interface PackOptions {
  /** Folder of class folders. */
  readonly input: string
  /** Folder to make; must not exist, or be empty. */
  readonly output: string
  /** A picture that cannot be decoded ends the packing, or is left out and listed. */
  readonly onBroken: 'stop' | 'skip'
  /** Bytes of a shard at most (one sample may be larger). */
  readonly shardBytes?: number | undefined
  /** Re-encode pictures whose shorter side is longer, as JPEG of quality 95. Default: every picture's bytes are kept. */
  readonly shortSide?: number | undefined
  /** Pack in an order drawn from this seed instead of class after class: what the block shuffle needs to mix classes. */
  readonly shuffleSeed?: number | undefined
  /** Pictures read and decoded at once. Default: the number of cores. */
  readonly parallelism?: number | undefined
  readonly onProgress?: OnDataProgress | undefined
  readonly signal?: AbortSignal | undefined
}

export interface PackResult {
  readonly samples: number
  readonly classes: number
  readonly shards: number
  /** Pictures left out, `path: reason`. */
  readonly skipped: readonly string[]
  readonly digest: string
}

/**
 * Packs a folder of class folders into tar shards with an index beside each and `dataset.json`. The same pictures make the same
 * bytes, whatever the parallelism. Written aside and renamed at the end: there is a whole data set, or none.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT (a broken picture, named), USAGE (output in the way), DISK, INTERRUPTED
 */
export async function packFolder(options: PackOptions): Promise<PackResult> {
  const input = resolve(options.input)
  const output = resolve(options.output)
  if (output === input || output.startsWith(input + sep))
    throw new TrainError('USAGE', `${output} lies inside the folder to pack: choose a place outside of it`)
  await requireFree(output)
  const folders = await listClassFolders(input)
  try {
    await mkdir(dirname(output), { recursive: true })
    const aside = join(dirname(output), `.${basename(output)}.partial-${randomBytes(4).toString('hex')}`)
    await mkdir(aside)
    try {
      const description = await writeShards(aside, input, folders, options)
      await writeFile(join(aside, DESCRIPTION_FILE), JSON.stringify(description, null, 2) + '\n')
      await rename(aside, output)
      const { samples, classes, shards, skipped, digest } = description
      return { samples, classes: classes.length, shards: shards.length, skipped, digest }
    } finally {
      await rm(aside, { recursive: true, force: true })
    }
  } catch (error) {
    throw asTrainError(error, output)
  }
}

async function writeShards(aside: string, input: string, folders: ClassFolders, options: PackOptions): Promise<DatasetDescription> {
  const { shardBytes = DEFAULT_SHARD_BYTES } = options
  const { classes } = folders
  const writer = new ShardWriter(aside, shardBytes)
  const colors = new ColorSums()
  const counts = classes.map(() => 0)
  const kept: { label: number; crc: number; length: number }[] = []
  const skipped: string[] = []
  try {
    for await (const sample of preparedSamples(input, folders, options)) {
      if ('broken' in sample) {
        skipped.push(`${sample.name}: ${sample.broken}`)
        continue
      }
      const { label, crc, bytes, sums } = sample
      await writer.add(sample)
      colors.add(sums)
      counts[label] = (counts[label] ?? 0) + 1
      kept.push({ label, crc, length: bytes.length })
    }
    await writer.finish()
  } catch (error) {
    await writer.abort()
    throw error
  }
  const emptied = classes.filter((_, label) => counts[label] === 0).join(', ')
  if (emptied !== '') {
    throw new TrainError(
      'DATA_CORRUPT',
      `no picture of the class ${emptied} in ${input} can be decoded: replace them, or remove the folder`,
    )
  }
  return {
    format: 'lockstep-dataset',
    version: 1,
    kind: 'shards',
    classes: [...classes],
    counts,
    samples: kept.length,
    ...colors.statistics(),
    digest: datasetDigest(classes, kept),
    shards: writer.shards,
    skipped,
  }
}

/** The samples in packing order. @throws TrainError at a broken one unless they are skipped, and when the signal comes */
async function* preparedSamples(
  input: string,
  { pictures }: ClassFolders,
  { onBroken, onProgress, signal, shortSide, shuffleSeed, parallelism = availableParallelism() }: PackOptions,
): AsyncGenerator<PreparedSample | BrokenSample, void, undefined> {
  const requireGoing = (): void => {
    if (signal?.aborted === true)
      throw new TrainError('INTERRUPTED', `packing ${input} was interrupted: nothing was left behind, start it again`)
  }
  const ordered = shuffleSeed === undefined ? pictures : shuffled(pictures, shuffleSeed)
  let done = 0
  requireGoing()
  for await (const sample of orderedPool(ordered, parallelism, (picture) => prepareSample(input, picture, shortSide ?? null))) {
    requireGoing()
    if ('broken' in sample && onBroken === 'stop') {
      const file = join(input, sample.name)
      throw new TrainError(
        'DATA_CORRUPT',
        `${file} cannot be decoded (${sample.broken}): replace or remove it, or pack with --on-broken skip`,
      )
    }
    yield sample
    onProgress?.({ what: 'packing', done: ++done, total: pictures.length })
  }
}

function shuffled(pictures: readonly ListedPicture[], seed: number): ListedPicture[] {
  return Array.from(packingOrder(pictures.length, seed), (i) => pictures[i]).filter((picture) => picture !== undefined)
}

/** @throws TrainError USAGE when something stands where the data set is to go */
async function requireFree(output: string): Promise<void> {
  const found = await stat(output).catch(() => null)
  if (found === null) return
  if (found.isDirectory() && (await readdir(output)).length === 0) return
  throw new TrainError('USAGE', `${output} exists already: remove it, or name another folder to pack into`)
}

function asTrainError(error: unknown, output: string): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  if (error instanceof TrainError || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new TrainError('DISK', `no space left while writing ${output}: free some, or pack elsewhere; nothing was left behind`)
  return new TrainError('DISK', `${output} cannot be written (${code}): check the folder and its permissions; nothing was left behind`)
}
