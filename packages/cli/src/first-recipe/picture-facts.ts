import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import sharp from 'sharp'
import { listClassFolders } from '@lockstep/data/class-folders.js'
import { openFolder } from '@lockstep/data/open-folder.js'
import { readDescription } from '@lockstep/data/sample-folder.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** Pictures whose sizes are looked at: their median tells enough. */
const SAMPLE = 64
const TRAIN_NAMES = ['train', 'training']
const VALIDATION_NAMES = ['validation', 'val', 'valid', 'test']

/** What a first recipe is chosen by. */
export interface PictureFacts {
  /** absolute */
  train: string
  /** absolute; null: a share of the training pictures is kept aside */
  validation: string | null
  classes: readonly string[]
  /** training pictures, those that will be kept aside included */
  pictures: number
  /** pictures of the smallest class */
  smallestClass: number
  /** pixels: the median of the shorter sides */
  medianShortSide: number
}

/**
 * Looks at a folder of class folders, a packed folder, or a folder that holds `train` and `validation` ones.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT
 */
export async function lookAtPictures(folder: string): Promise<PictureFacts> {
  const { train, validation } = await partsOf(resolve(folder))
  const description = await readDescription(train)
  if (description !== null) {
    const { classes, counts, samples } = description
    return {
      train,
      validation,
      classes,
      pictures: samples,
      smallestClass: Math.min(...counts),
      medianShortSide: await shortSideOfShards(train),
    }
  }
  const { classes, pictures } = await listClassFolders(train)
  const counts = classes.map(() => 0)
  for (const { label } of pictures) counts[label] = (counts[label] ?? 0) + 1
  const sampled = spread(pictures.length).flatMap((index) => pictures[index]?.name ?? [])
  const sides = await Promise.all(sampled.map((name) => shortSideOf(join(train, name))))
  return {
    train,
    validation,
    classes,
    pictures: pictures.length,
    smallestClass: Math.min(...counts),
    medianShortSide: medianOf(sides, train),
  }
}

/** A folder with `train` and `validation` (or `val`, `test`) in it holds two sets, not two classes. */
async function partsOf(folder: string): Promise<{ train: string; validation: string | null }> {
  const names = await readdir(folder).catch((): string[] => [])
  const train = TRAIN_NAMES.find((name) => names.includes(name))
  const validation = VALIDATION_NAMES.find((name) => names.includes(name))
  if (train === undefined || validation === undefined) return { train: folder, validation: null }
  return { train: join(folder, train), validation: join(folder, validation) }
}

async function shortSideOfShards(path: string): Promise<number> {
  const opened = await openFolder(path)
  try {
    const sides = await Promise.all(spread(opened.size).map(async (index) => shortSideOf(await opened.read(index))))
    return medianOf(sides, path)
  } finally {
    await opened.close()
  }
}

/** Up to SAMPLE numbers spread evenly over [0, size). */
function spread(size: number): number[] {
  const taken = Math.min(SAMPLE, size)
  return Array.from({ length: taken }, (_, index) => Math.floor((index * size) / taken))
}

/** undefined for a picture that cannot be read: training names it, if it is still there then */
async function shortSideOf(picture: string | Buffer): Promise<number | undefined> {
  try {
    const { width, height } = await sharp(picture).metadata()
    return Math.min(width, height)
  } catch {
    return undefined
  }
}

function medianOf(sides: readonly (number | undefined)[], path: string): number {
  const known = sides.filter((side) => side !== undefined).sort((left, right) => left - right)
  const median = known[Math.floor(known.length / 2)]
  if (median === undefined)
    throw new TrainError('DATA_CORRUPT', `none of the pictures in ${path} that were looked at can be decoded: are they pictures?`)
  return median
}
