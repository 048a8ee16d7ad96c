import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp, { type Sharp } from 'sharp'

/** Pictures that tests draw, so that none has to be kept. */

/** Raw RGB pixels of a picture whose every pixel differs from its neighbours: value = f(row, column, channel, salt). */
export function drawnPixels(height: number, width: number, salt: number): Buffer {
  const pixels = Buffer.alloc(height * width * 3)
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[(row * width + column) * 3 + channel] = (row * 7 + column * (5 + channel) + salt * 37 + channel * 50) % 256
      }
    }
  }
  return pixels
}

/** The same as a sharp pipeline, to be encoded in any format. */
export function drawn(height: number, width: number, salt: number): Sharp {
  return sharp(drawnPixels(height, width, salt), { raw: { width, height, channels: 3 } })
}

export async function drawnPng(height: number, width: number, salt: number): Promise<Buffer> {
  return drawn(height, width, salt).png().toBuffer()
}

/** A folder of class folders: `count` pictures a class, 20 × (16 … 20) pixels. @returns paths written, relative to `root` */
export async function drawClassFolders(root: string, classes: readonly string[], count: number): Promise<string[]> {
  const names: string[] = []
  for (const [label, name] of classes.entries()) {
    for (let i = 0; i < count; i++) {
      const file = `${name}/${String(i).padStart(3, '0')}.png`
      await put(root, file, await drawnPng(20, 16 + (i % 5), label * 100 + i))
      names.push(file)
    }
  }
  return names
}

export async function put(root: string, name: string, bytes: Buffer | string): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true })
  await writeFile(join(root, name), bytes)
}

/** Runs `work` in a folder of its own, removed afterwards. */
export async function inTemporaryFolder(work: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'lockstep-data-'))
  try {
    await work(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
