import { createHash, randomBytes } from 'node:crypto'
import { mkdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { DatasetDescription } from '@lockstep/shared/sampling/dataset-description.js'
import { listClassFolders, type ClassFolders } from './class-folders.js'
import { ColorSums } from './color-statistics.js'
import { datasetDigest } from './dataset-digest.js'
import { encodeIndex, IndexFile, type IndexRecord } from './index-file.js'
import { orderedPool } from './ordered-pool.js'
import { decoderVersion } from './picture.js'
import { prepareSample } from './prepared-sample.js'
import type { OnDataProgress } from './progress.js'
import { DESCRIPTION_FILE, openDescribed, readDescription, SampleFolder } from './sample-folder.js'

const INDEX_FILE = 'folder.idx'

export interface PlainFolderOptions {
  /** Where the index of the folder is kept between runs. Default: `lockstep/indexes` in the user's cache directory. */
  readonly cacheDirectory?: string | undefined
  readonly onProgress?: OnDataProgress | undefined
}

/** The user's cache directory (XDG Base Directory Specification). */
export function defaultCacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'lockstep', 'indexes')
}

/**
 * Opens a plain folder of class folders: reads every picture once for its CRC and the colour statistics, and keeps that index, keyed
 * by the paths, sizes and times of the files, so that the next opening only lists the folder.
 * @throws TrainError DATA_MISSING; DATA_CORRUPT naming a picture that cannot be decoded
 */
export async function openPlainFolder(path: string, { cacheDirectory, onProgress }: PlainFolderOptions): Promise<SampleFolder> {
  const folders = await listClassFolders(path)
  const directory = join(cacheDirectory ?? defaultCacheDirectory(), await listingDigest(path, folders))
  const known = await openKnown(directory, path)
  if (known !== null) return known
  const { description, index } = await indexFolder(path, folders, onProgress)
  await keep(directory, description, index)
  return new SampleFolder(path, description, [{ index: new IndexFile(index, INDEX_FILE), first: 0, path }])
}

/** An index that was kept and is whole; a damaged one is made anew. */
async function openKnown(directory: string, path: string): Promise<SampleFolder | null> {
  try {
    const description = await readDescription(directory)
    return description === null ? null : await openDescribed(directory, path, description)
  } catch (error) {
    if (!(error instanceof TrainError)) throw error
    await rm(directory, { recursive: true, force: true })
    return null
  }
}

async function listingDigest(path: string, { classes, pictures }: ClassFolders): Promise<string> {
  const root = await realpath(path)
  const hash = createHash('sha256').update(JSON.stringify(['lockstep-listing-1', decoderVersion, root, classes]))
  for await (const line of orderedPool(pictures, 16, async ({ name }) => {
    const { size, mtimeNs, ctimeNs } = await stat(join(root, name), { bigint: true }).catch((error: unknown) => {
      throw new TrainError(
        'DATA_MISSING',
        `${join(path, name)} cannot be read (${String((error as NodeJS.ErrnoException).code)}): remove it`,
      )
    })
    return JSON.stringify([name, String(size), String(mtimeNs), String(ctimeNs)])
  })) {
    hash.update(line)
  }
  return hash.digest('hex')
}

async function indexFolder(
  path: string,
  { classes, pictures }: ClassFolders,
  onProgress?: OnDataProgress,
): Promise<{ description: DatasetDescription; index: Buffer }> {
  const colors = new ColorSums()
  const counts = classes.map(() => 0)
  const records: IndexRecord[] = []
  let bytes = 0
  for await (const sample of orderedPool(pictures, availableParallelism(), (picture) => prepareSample(path, picture, null))) {
    if ('broken' in sample) {
      throw new TrainError(
        'DATA_CORRUPT',
        `${join(path, sample.name)} cannot be decoded (${sample.broken}): replace or remove it, or use \`lockstep pack --on-broken skip\``,
      )
    }
    const { name, label, crc, sums } = sample
    records.push({ offset: 0, length: sample.bytes.length, label, crc, name })
    colors.add(sums)
    counts[label] = (counts[label] ?? 0) + 1
    bytes += sample.bytes.length
    onProgress?.({ what: `reading ${path}`, done: records.length, total: pictures.length })
  }
  const description: DatasetDescription = {
    format: 'lockstep-dataset',
    version: 1,
    kind: 'folder',
    classes: [...classes],
    counts,
    samples: records.length,
    ...colors.statistics(),
    digest: datasetDigest(classes, records),
    shards: [{ file: path, index: INDEX_FILE, samples: records.length, bytes }],
    skipped: [],
  }
  return { description, index: encodeIndex('folder', 0, bytes, records) }
}

/**
 * Keeps an index, written aside and renamed, since several processes may do so at once. Where that cannot be (a read-only or full disk,
 * or another process was first) training goes on without.
 */
async function keep(directory: string, description: DatasetDescription, index: Buffer): Promise<void> {
  const aside = `${directory}.${randomBytes(4).toString('hex')}`
  try {
    await mkdir(aside, { recursive: true })
    await writeFile(join(aside, INDEX_FILE), index)
    await writeFile(join(aside, DESCRIPTION_FILE), JSON.stringify(description))
    await rename(aside, directory)
  } catch {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined)
  }
}
