import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { philox } from '@lockstep/shared/random/philox.js'
import sharp from 'sharp'

/** Small drawn pictures, the same in every run of a test: three classes that a narrow network can learn in a few steps. */

const SIDE = 48
export const CLASSES = ['bar', 'circle', 'square'] as const

function shape(kind: (typeof CLASSES)[number], draw: (below: number) => number): string {
  const fill = `rgb(${String(40 + draw(160))},${String(40 + draw(160))},${String(40 + draw(160))})`
  if (kind === 'circle')
    return `<circle cx="${String(18 + draw(12))}" cy="${String(18 + draw(12))}" r="${String(9 + draw(4))}" fill="${fill}"/>`
  if (kind === 'square') return `<rect x="${String(6 + draw(14))}" y="${String(6 + draw(14))}" width="20" height="20" fill="${fill}"/>`
  return `<rect x="${String(2 + draw(6))}" y="${String(12 + draw(20))}" width="36" height="4" fill="${fill}"/>`
}

/** Draws one picture. @returns PNG bytes */
export async function drawPicture(kind: (typeof CLASSES)[number], number: number): Promise<Buffer> {
  const words = new Uint32Array(8)
  philox(number, CLASSES.indexOf(kind), 0, 0, 20, 26, words)
  philox(number, CLASSES.indexOf(kind), 1, 0, 20, 26, words, 4)
  let at = 0
  const draw = (below: number): number => (words[at++] ?? 0) % below
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${String(SIDE)}" height="${String(SIDE)}"><rect width="100%" height="100%" fill="white"/>${shape(kind, draw)}</svg>`
  return await sharp(Buffer.from(svg)).png().toBuffer()
}

/** Makes class folders with so many pictures each, and returns the folder. */
export async function drawFolder(folder: string, perClass: number): Promise<string> {
  for (const kind of CLASSES) {
    await mkdir(join(folder, kind), { recursive: true })
    for (let number = 0; number < perClass; number++)
      await writeFile(join(folder, kind, `${String(number).padStart(3, '0')}.png`), await drawPicture(kind, number))
  }
  return folder
}
