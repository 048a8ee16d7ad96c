import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { DIGIT_SIZE, makeDigits, readDigits } from './digits.js'

const CLASSES = Array.from({ length: 10 }, (_, digit) => String(digit))

describe('the digits', () => {
  const { train, validation } = readDigits()

  it('are 9,000 and 1,000, of every class', () => {
    expect([train.labels.length, validation.labels.length]).toEqual([9000, 1000])
    for (const { labels } of [train, validation]) expect(new Set(labels).size).toBe(10)
  })

  it('stand in the middle of a black frame of two pixels', () => {
    const area = DIGIT_SIZE * DIGIT_SIZE
    const framed = train.pixels.filter((_, at) => {
      const row = Math.floor((at % area) / DIGIT_SIZE)
      const column = at % DIGIT_SIZE
      return Math.min(row, column) < 2 || Math.max(row, column) >= DIGIT_SIZE - 2
    })
    expect(framed.length).toBe(9000 * (area - 28 * 28))
    expect(framed.every((value) => value === 0)).toBe(true)
    expect(Math.max(...train.pixels.subarray(0, area))).toBeGreaterThan(200)
  })

  it('become class folders and packed folders, once', async () => {
    const base = await mkdtemp(join(tmpdir(), 'lockstep-digits-'))
    try {
      const made = await makeDigits(join(base, 'digits'))
      expect(made.reused).toBe(false)
      expect(await readdir(made.pictures)).toEqual(['train', 'validation'])
      expect((await readdir(join(made.pictures, 'validation'))).sort()).toEqual(CLASSES)
      const first = join(made.pictures, 'validation', '0', '00000.png')
      const { data, info } = await sharp(first).raw().toBuffer({ resolveWithObject: true })
      const grey = Buffer.from(validation.pixels.subarray(0, DIGIT_SIZE * DIGIT_SIZE))
      expect([info.width, info.height]).toEqual([DIGIT_SIZE, DIGIT_SIZE])
      expect(Buffer.from(data.filter((_, at) => at % info.channels === 0)).equals(grey)).toBe(true)
      const described = JSON.parse(await readFile(join(made.validation, 'dataset.json'), 'utf8')) as { classes: string[] }
      expect(described.classes).toEqual(CLASSES)
      await writeFile(join(base, 'digits', 'mine.txt'), 'still here')
      expect((await makeDigits(join(base, 'digits'))).reused).toBe(true)
      expect(await readFile(join(base, 'digits', 'mine.txt'), 'utf8')).toBe('still here')
      expect(await readdir(base)).toEqual(['digits'])
    } finally {
      await rm(base, { recursive: true, force: true })
    }
  })

  it('do not overwrite a folder of somebody else', async () => {
    const base = await mkdtemp(join(tmpdir(), 'lockstep-digits-'))
    try {
      await writeFile(join(base, 'thesis.txt'), 'precious')
      await expect(makeDigits(base)).rejects.toMatchObject({ code: 'USAGE' })
      expect(await readdir(base)).toEqual(['thesis.txt'])
    } finally {
      await rm(base, { recursive: true, force: true })
    }
  })
})
