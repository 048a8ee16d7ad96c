import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from '@node-rs/crc32'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { ListedPicture } from './class-folders.js'
import { pixelSums, type PixelSums } from './color-statistics.js'
import { decodePicture, decodingReason, describePicture, reencodePicture } from './picture.js'

/** A picture read, checked and measured: all that packing and indexing need of it. */
export interface PreparedSample {
  readonly name: string
  readonly label: number
  /** The encoded picture as it is to be kept. */
  readonly bytes: Buffer
  readonly extension: string
  readonly crc: number
  readonly sums: PixelSums
}

export interface BrokenSample {
  readonly name: string
  readonly label: number
  readonly broken: string
}

/**
 * Reads one listed picture and decodes it once, which proves that it is whole and gives its colour sums.
 * @param shortSide pictures whose shorter side is longer are re-encoded at this size; null: the bytes stay as they are
 * @returns BrokenSample when it cannot be decoded; @throws TrainError DATA_MISSING when it cannot be read
 */
export async function prepareSample(
  root: string,
  picture: ListedPicture,
  shortSide: number | null,
): Promise<PreparedSample | BrokenSample> {
  const file = join(root, picture.name)
  let bytes: Buffer = await readFile(file).catch((error: unknown) => {
    throw new TrainError(
      'DATA_MISSING',
      `${file} cannot be read (${String((error as NodeJS.ErrnoException).code)}): check its permissions, or remove it`,
    )
  })
  try {
    const described = await describePicture(bytes)
    let { extension } = described
    if (shortSide !== null && described.shortSide > shortSide) {
      bytes = await reencodePicture(bytes, shortSide)
      extension = 'jpg'
    }
    return { ...picture, bytes, extension, crc: crc32(bytes), sums: pixelSums(await decodePicture(bytes, null)) }
  } catch (error) {
    return { ...picture, broken: decodingReason(error) }
  }
}
