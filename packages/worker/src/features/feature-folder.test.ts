import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FeatureFolder } from './feature-folder.js'

const FLOATS = 5
const valuesOf = (batch: number): Float32Array => Float32Array.from({ length: 3 * FLOATS }, (_, index) => batch + index / 7)

describe('a folder of features', () => {
  let base = ''
  let folder: FeatureFolder
  const fileOf = (batch: number): string => join(base, 'features', `batch-0000000${String(batch)}.f32`)
  const folderOf = (key: string): FeatureFolder =>
    new FeatureFolder({ directory: join(base, 'features'), key, floats: FLOATS, batch: 3, samples: 8 })

  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'lockstep-features-'))
    folder = folderOf('a key')
    for (const batch of [0, 1, 2]) await folder.write(batch, valuesOf(batch))
  })
  afterEach(async () => {
    await rm(base, { recursive: true, force: true })
  })

  it('gives every row back, the last batch having fewer, and nothing lies beside the files', async () => {
    expect([folder.batches, folder.rowsOf(1), folder.rowsOf(2)]).toEqual([3, 3, 2])
    const into = new Float32Array(2 * FLOATS)
    for (let sample = 0; sample < 8; sample++) {
      expect(await folder.read(sample, into, FLOATS)).toBe(true)
      const row = sample % 3
      expect(into.subarray(FLOATS)).toEqual(valuesOf(Math.floor(sample / 3)).subarray(row * FLOATS, (row + 1) * FLOATS))
    }
    expect(await Promise.all([0, 1, 2].map((batch) => folder.isWhole(batch)))).toEqual([true, true, true])
    expect(await readdir(join(base, 'features'))).toHaveLength(3)
  })

  it('takes one turned bit, a missing end, another place and another key for missing', async () => {
    const bytes = await readFile(fileOf(0))
    bytes[FLOATS * 4] = (bytes[FLOATS * 4] ?? 0) ^ 1
    await writeFile(fileOf(0), bytes)
    const into = new Float32Array(FLOATS).fill(9)
    expect([await folder.isWhole(0), await folder.read(1, into, 0), into[0]]).toEqual([false, false, 9])
    // the rows beside it are as good as before
    expect([await folder.read(0, into, 0), await folder.read(2, into, 0)]).toEqual([true, true])
    await writeFile(fileOf(0), await readFile(fileOf(1)))
    expect([await folder.isWhole(0), await folder.read(0, into, 0)]).toEqual([false, false])
    await truncate(fileOf(2), 70)
    expect([await folder.isWhole(2), await folder.read(7, into, 0)]).toEqual([false, false])
    await rm(fileOf(2))
    expect([await folder.isWhole(2), await folder.read(7, into, 0)]).toEqual([false, false])
    expect([await folder.isWhole(1), await folderOf('another').isWhole(1)]).toEqual([true, false])
  })

  it('says where there is no room', async () => {
    await writeFile(join(base, 'file'), '')
    const blocked = new FeatureFolder({ directory: join(base, 'file', 'x'), key: 'k', floats: FLOATS, batch: 3, samples: 8 })
    await expect(blocked.write(0, valuesOf(0))).rejects.toMatchObject({
      code: 'DISK',
      message: expect.stringMatching(/file\/x \(ENOTDIR\): make room there, .*or leave out model\.cacheFeatures/) as string,
    })
  })
})
