import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeDataset, type Picture } from './picture-set.js'

function picture(part: Picture['part'], className: string, index: number): Picture {
  const background = { r: index * 20, g: className.length * 20, b: 90 }
  const png = (): Promise<Buffer> =>
    sharp({ create: { width: 8, height: 8, channels: 3, background } })
      .png()
      .toBuffer()
  return { part, className, name: `${String(index)}.png`, png }
}

const PICTURES = (['train', 'validation'] as const).flatMap((part) =>
  ['cat', 'mouse'].flatMap((className) => [0, 1, 2].map((index) => picture(part, className, index))),
)
const make = (): { pictures: Picture[]; licenses: string } => ({ pictures: PICTURES, licenses: 'everybody may\n' })

describe('a picture set', () => {
  let base = ''
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'lockstep-picture-set-'))
  })
  afterEach(async () => {
    await rm(base, { recursive: true, force: true })
  })

  it('is class folders, packed folders and the licences, and nothing beside them', async () => {
    const made = await makeDataset(join(base, 'set'), 'digest', make, {})
    expect(made.reused).toBe(false)
    expect(await readdir(base)).toEqual(['set'])
    expect((await readdir(made.directory)).sort()).toEqual(['LICENSES.md', 'made.json', 'pictures', 'train', 'validation'])
    expect(await readdir(join(made.pictures, 'validation', 'mouse'))).toEqual(['0.png', '1.png', '2.png'])
    for (const packed of [made.train, made.validation]) {
      const described = JSON.parse(await readFile(join(packed, 'dataset.json'), 'utf8')) as { classes: string[]; samples: number }
      expect(described).toMatchObject({ classes: ['cat', 'mouse'], samples: 6 })
    }
  })

  it('is made once, and again when what goes into it has changed', async () => {
    const directory = join(base, 'set')
    await makeDataset(directory, 'digest', make, {})
    await writeFile(join(directory, 'mine.txt'), 'still here')
    expect((await makeDataset(directory, 'digest', make, {})).reused).toBe(true)
    expect(await readFile(join(directory, 'mine.txt'), 'utf8')).toBe('still here')
    expect((await makeDataset(directory, 'other digest', make, {})).reused).toBe(false)
    expect(await readdir(base)).toEqual(['set'])
  })

  it('is whole when two make it at the same time', async () => {
    const directory = join(base, 'set')
    await Promise.all([makeDataset(directory, 'digest', make, {}), makeDataset(directory, 'digest', make, {})])
    expect((await makeDataset(directory, 'digest', make, {})).reused).toBe(true)
    expect(await readdir(base)).toEqual(['set'])
  })

  it('does not take the place of what somebody else has put there', async () => {
    await writeFile(join(base, 'thesis.txt'), 'precious')
    await expect(makeDataset(base, 'digest', make, {})).rejects.toMatchObject({ code: 'USAGE' })
    expect(await readdir(base)).toEqual(['thesis.txt'])
  })

  it('leaves nothing behind when a picture cannot be drawn', async () => {
    const broken: Picture = { ...picture('train', 'cat', 3), png: () => Promise.reject(new Error('no ink')) }
    let lateOneEnded = false
    const late: Picture = {
      ...picture('train', 'cat', 4),
      png: async () => {
        await new Promise((resolve) => setTimeout(resolve, 50))
        lateOneEnded = true
        return Buffer.alloc(0)
      },
    }
    const pictures = [...PICTURES, broken, late]
    await expect(makeDataset(join(base, 'set'), 'digest', () => ({ ...make(), pictures }), {})).rejects.toThrow('no ink')
    expect(lateOneEnded).toBe(true)
    expect(await readdir(base)).toEqual([])
  })
})
