import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packFolder } from '@lockstep/data/pack-folder.js'
import { philox } from '@lockstep/shared/random/philox.js'
import sharp from 'sharp'

/** Cells of a picture's pattern, along a side. */
const CELLS = 16
/** Cells that share the class's own colour. */
const PATCH = 4
const JPEG_QUALITY = 90

export interface DrawnDataSet {
  readonly classes: number
  readonly perClass: number
  /** Height and width of the pictures. */
  readonly side: number
  /** Width, where it is another than the height. */
  readonly width?: number
}

/** Draws JPEGs of coloured patches, two thirds of them the class's and one third the picture's own, and packs them, mixed, into `folder`. */
export async function drawDataSet(folder: string, set: DrawnDataSet): Promise<void> {
  const plain = `${folder}-plain`
  await drawClassFolders(plain, set, 0)
  await packFolder({ input: plain, output: folder, onBroken: 'stop', shuffleSeed: 1 })
  await rm(plain, { recursive: true })
}

/** The same pictures as files, one folder a class. @param first number of a class's first picture: other numbers, other pictures */
export async function drawClassFolders(
  folder: string,
  { classes, perClass, side, width = side }: DrawnDataSet,
  first: number,
): Promise<void> {
  for (let label = 0; label < classes; label++) {
    const home = join(folder, `class${String(label).padStart(4, '0')}`)
    await mkdir(home, { recursive: true })
    for (let number = first; number < first + perClass; number++) {
      await writeFile(join(home, `${String(number)}.jpg`), await draw(label, number, side, width))
    }
  }
}

async function draw(label: number, number: number, height: number, width: number): Promise<Buffer> {
  const words = new Uint32Array(4)
  /** A byte of the class's pattern (kind 0) or of the picture's (its number + 1). */
  const byte = (index: number, kind: number): number => {
    philox(index, label, kind, 0, 1, 0, words)
    return (words[0] ?? 0) >>> 24
  }
  const pixels = Buffer.alloc(CELLS * CELLS * 3)
  for (let at = 0; at < pixels.length; at++) {
    const [row, column, channel] = [Math.floor(at / (CELLS * 3)), Math.floor(at / 3) % CELLS, at % 3]
    const patch = (Math.floor(row / PATCH) * CELLS + Math.floor(column / PATCH)) * 3 + channel
    pixels[at] = (2 * byte(patch, 0) + byte(at, number + 1)) / 3
  }
  return await sharp(pixels, { raw: { width: CELLS, height: CELLS, channels: 3 } })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer()
}
