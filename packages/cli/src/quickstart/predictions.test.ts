import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { picturesToShow } from './predictions.js'

describe('the pictures shown', () => {
  it('are the first of the classes of π, none of them twice', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-pictures-'))
    try {
      for (const digit of '0123456789') {
        await mkdir(join(folder, digit))
        for (const name of ['b.png', 'a.png', 'c.png']) await writeFile(join(folder, digit, name), '')
      }
      const shown = (await picturesToShow(folder)).map((picture) => picture.slice(folder.length + 1))
      expect(shown).toEqual(['3/a.png', '1/a.png', '4/a.png', '1/b.png', '5/a.png', '9/a.png', '2/a.png', '6/a.png'])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
