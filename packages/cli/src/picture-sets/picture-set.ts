import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { packFolder } from '@lockstep/data/pack-folder.js'
import type { OnDataProgress } from '@lockstep/data/progress.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/**
 * Writes a data set of our own making: pictures/train and pictures/validation as plain class folders, packed besides into
 * train/ and validation/. It is made aside and moved into place, so a folder of that name is whole, whoever was interrupted.
 */

/** One picture to be written: an encoded PNG under pictures/PART/CLASS/NAME. */
export interface Picture {
  readonly part: 'train' | 'validation'
  readonly className: string
  readonly name: string
  readonly png: () => Promise<Buffer>
}

export interface MakerOptions {
  readonly onProgress?: OnDataProgress | undefined
  readonly signal?: AbortSignal | undefined
}

/** What was made, and whether it was there already. */
export interface MadeDataset {
  readonly directory: string
  readonly pictures: string
  readonly train: string
  readonly validation: string
  readonly reused: boolean
}

/** Pictures encoded at once: sharp works on a pool of threads of its own. */
const AT_ONCE = 16
const MARKER = 'made.json'

/** Names a maker's output by all that goes into it, so that a changed maker makes its folder again. */
export function makerDigest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/**
 * Makes the data set unless a whole one with the same `digest` is there.
 * @param licenses text of LICENSES.md
 * @throws TrainError DISK, INTERRUPTED
 */
export async function makeDataset(
  outDir: string,
  digest: string,
  make: () => { readonly pictures: readonly Picture[]; readonly licenses: string },
  options: MakerOptions,
): Promise<MadeDataset> {
  const directory = resolve(outDir)
  const made = {
    directory,
    pictures: join(directory, 'pictures'),
    train: join(directory, 'train'),
    validation: join(directory, 'validation'),
  }
  if (await isMade(directory, digest)) return { ...made, reused: true }
  if (existsSync(directory) && !(await isOurs(directory))) {
    throw new TrainError('USAGE', `${directory} is there and was not made by this command; choose another folder or move it away`)
  }
  await mkdir(dirname(directory), { recursive: true })
  const aside = await mkdtemp(`${directory}.making-`)
  try {
    const { pictures, licenses } = make()
    await writePictures(join(aside, 'pictures'), pictures, options)
    await writeFile(join(aside, 'LICENSES.md'), licenses)
    for (const part of ['train', 'validation'] as const) {
      await packFolder({
        input: join(aside, 'pictures', part),
        output: join(aside, part),
        onBroken: 'stop',
        onProgress: options.onProgress,
        signal: options.signal,
      })
    }
    await writeFile(join(aside, MARKER), JSON.stringify({ digest, pictures: pictures.length }) + '\n')
    await moveIntoPlace(aside, directory, digest)
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
  return { ...made, reused: false }
}

async function isMade(directory: string, digest: string): Promise<boolean> {
  const marker = await readFile(join(directory, MARKER), 'utf8').catch(() => undefined)
  return marker !== undefined && (JSON.parse(marker) as { digest?: unknown }).digest === digest
}

/** Ours: made before, by this or an earlier version, or empty. */
async function isOurs(directory: string): Promise<boolean> {
  return existsSync(join(directory, MARKER)) || (await readdir(directory)).length === 0
}

async function moveIntoPlace(aside: string, directory: string, digest: string): Promise<void> {
  if (await isMade(directory, digest)) return
  await rm(directory, { recursive: true, force: true })
  try {
    await rename(aside, directory)
  } catch (error) {
    // another process that made the same at the same time was first: its folder is as good
    if (await isMade(directory, digest)) return
    throw new TrainError(
      'DISK',
      `cannot move the finished data set to ${directory}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}

async function writePictures(root: string, pictures: readonly Picture[], { onProgress, signal }: MakerOptions): Promise<void> {
  const folders = new Set(pictures.map((picture) => join(root, picture.part, picture.className)))
  for (const folder of folders) await mkdir(folder, { recursive: true })
  for (let at = 0; at < pictures.length; at += AT_ONCE) {
    if (signal?.aborted === true) throw new TrainError('INTERRUPTED', 'stopped while drawing pictures; nothing was left behind')
    const some = pictures.slice(at, at + AT_ONCE)
    await allEnded(some.map(async ({ part, className, name, png }) => writeFile(join(root, part, className, name), await png())))
    onProgress?.({ what: 'drawing pictures', done: at + some.length, total: pictures.length })
  }
}

/** Waits for all, the failed ones' neighbours too: one that still wrote would put a file into a folder that is being removed. */
async function allEnded(writes: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(writes)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
