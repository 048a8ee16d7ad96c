import { readdir, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawClassFolders, drawnPng, inTemporaryFolder, put } from './drawn-pictures.js'
import { packFolder } from './pack-folder.js'
import { openTrainingData, type TrainingData } from './training-data.js'

const recipeData = (train: string, validation: Recipe['data']['validation'] = { split: 0.25 }): Recipe['data'] => ({
  train,
  validation,
  shuffle: 'full',
  augment: { crop: 'center', flip: false, colorShift: 0 },
})

const message = (code: string, pattern: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(pattern) as string })

/** A plain and a packed form of the same training and validation pictures. */
const withFolders = (
  work: (root: string, open: (data: Recipe['data'], more?: object) => Promise<TrainingData>) => Promise<void>,
): Promise<void> =>
  inTemporaryFolder(async (root) => {
    await drawClassFolders(join(root, 'plain/train'), ['a', 'b', 'c'], 8)
    await drawClassFolders(join(root, 'plain/val'), ['a', 'b', 'c'], 3)
    for (const part of ['train', 'val']) {
      await packFolder({ input: join(root, 'plain', part), output: join(root, 'packed', part), onBroken: 'stop', shardBytes: 15_000 })
    }
    const options = { seed: 1, inputSize: 16, cacheDirectory: join(root, 'cache') }
    await work(root, (data, more = {}) => openTrainingData(data, { ...options, ...more }))
  })

describe('openTrainingData', () => {
  it('reads plain and packed folders alike: samples, statistics, digests', async () => {
    await withFolders(async (root, open) => {
      const plain = await open(recipeData(join(root, 'plain/train'), join(root, 'plain/val')))
      const packed = await open(recipeData(join(root, 'packed/train'), join(root, 'packed/val')))
      expect(packed.digests).toEqual(plain.digests)
      expect([packed.digest, packed.mean, packed.std, packed.color, packed.classes]).toEqual([
        plain.digest,
        plain.mean,
        plain.std,
        plain.color,
        ['a', 'b', 'c'],
      ])
      for (const part of ['train', 'validation'] as const) {
        expect(packed[part].size).toBe(part === 'train' ? 24 : 9)
        for (let i = 0; i < packed[part].size; i++) {
          expect(await packed[part].read(i)).toEqual(await plain[part].read(i))
          expect([packed[part].label(i), packed[part].name(i)]).toEqual([plain[part].label(i), plain[part].name(i)])
        }
      }
      expect([plain.train.blocks, (packed.train.blocks ?? []).length > 1]).toEqual([undefined, true])
      await Promise.all([plain.close(), packed.close()])
    })
  })

  it('splits off a validation set by class, keyed by the seed', async () => {
    await withFolders(async (root, open) => {
      const [one, again, other] = [
        await open(recipeData(join(root, 'packed/train'))),
        await open(recipeData(join(root, 'plain/train'))),
        await open(recipeData(join(root, 'packed/train')), { seed: 2 }),
      ]
      expect([one.train.size, one.validation.size]).toEqual([18, 6])
      const names = ({ train, validation }: TrainingData): string[][] =>
        [train, validation].map((part) => Array.from({ length: part.size }, (_, i) => part.name(i)))
      expect(new Set(names(one).flat()).size).toBe(24)
      expect(names(again)).toEqual(names(one))
      expect(names(other)).not.toEqual(names(one))
      expect([again.digest === one.digest, other.digest === one.digest, other.digests.train === one.digests.train]).toEqual([
        true,
        false,
        true,
      ])
      expect((one.train.blocks ?? []).reduce((sum, count) => sum + count, 0)).toBe(18)
      await Promise.all([one, again, other].map((data) => data.close()))
    })
  })

  it('keeps the index of a plain folder until a file changes', async () => {
    await withFolders(async (root, open) => {
      const data = recipeData(join(root, 'plain/train'))
      const reads = async (): Promise<number> => {
        let count = 0
        const opened = await open(data, { onProgress: () => count++ })
        await opened.close()
        return count
      }
      expect([await reads(), await reads()]).toEqual([24, 0])
      await utimes(join(root, 'plain/train/a/003.png'), 1, 1)
      expect([await reads(), await reads()]).toEqual([24, 0])
      await put(root, 'plain/train/c/new.png', await drawnPng(9, 9, 1))
      expect([await reads(), await reads()]).toEqual([25, 0])
    })
  })

  it('makes a damaged index of a plain folder anew', async () => {
    await withFolders(async (root, open) => {
      const data = recipeData(join(root, 'plain/train'))
      const first = await open(data)
      await first.close()
      const [kept = ''] = await readdir(join(root, 'cache'))
      await truncate(join(root, 'cache', kept, 'folder.idx'), 100)
      const again = await open(data)
      await again.close()
      expect(again.digest).toBe(first.digest)
    })
  })

  it('takes some classes alone, numbered anew, of a validation folder and of a part split off', async () => {
    await withFolders(async (root, open) => {
      const [train, val] = [join(root, 'packed/train'), join(root, 'packed/val')]
      const [whole, some, split] = [
        await open(recipeData(train, val)),
        await open({ ...recipeData(train, val), classes: ['c', 'a'] }),
        await open({ ...recipeData(train), classes: ['b', 'c'] }),
      ]
      const own = (source: TrainingData['train']): [number, string][] =>
        Array.from({ length: source.size }, (_, i) => [source.label(i), source.name(i)])
      expect([some.classes, split.classes]).toEqual([
        ['a', 'c'],
        ['b', 'c'],
      ])
      for (const part of ['train', 'validation'] as const) {
        const wanted = own(whole[part]).filter(([label]) => label !== 1)
        expect(own(some[part])).toEqual(wanted.map(([label, name]) => [label === 0 ? 0 : 1, name]))
        expect(await some[part].read(some[part].size - 1)).toEqual(await whole[part].read(whole[part].size - 1))
      }
      const parts = [...own(split.train), ...own(split.validation)]
      expect([split.train.size, split.validation.size, new Set(parts.map(([, name]) => name)).size]).toEqual([12, 4, 16])
      expect(parts.every(([label, name]) => name.startsWith(label === 0 ? 'b/' : 'c/'))).toBe(true)
      // pictures of all classes say what is normalized with, so that a base and a head on other classes agree
      expect([some.mean, some.std, some.digest]).toEqual([whole.mean, whole.std, whole.digest])
      await expect(open({ ...recipeData(train, val), classes: ['a', 'mouse'] })).rejects.toEqual(
        message('RECIPE_INVALID', /data\.classes: .*packed\/train has no class mouse; name some of a, b, c/),
      )
      await Promise.all([whole.close(), some.close(), split.close()])
    })
  })

  it('reads a plain folder although its index cannot be kept', async () => {
    await withFolders(async (root, open) => {
      await put(root, 'file', 'no folder')
      const opened = await open(recipeData(join(root, 'plain/train')), { cacheDirectory: join(root, 'file', 'cache') })
      expect((await opened.train.read(0)).length).toBeGreaterThan(0)
      await opened.close()
    })
  })

  it('notices a plain picture that changed after opening', async () => {
    await withFolders(async (root, open) => {
      const data = await open(recipeData(join(root, 'plain/train'), join(root, 'plain/val')))
      await writeFile(join(root, 'plain/val/a/001.png'), await drawnPng(9, 9, 9))
      await rm(join(root, 'plain/val/a/002.png'))
      await expect(data.validation.read(1)).rejects.toEqual(message('DATA_CORRUPT', /a\/001\.png .*CRC-32/))
      await expect(data.validation.read(2)).rejects.toEqual(message('DATA_CORRUPT', /a\/002\.png can no longer be read/))
      await data.close()
    })
  })

  it.each([
    ['a missing folder', 'nowhere', /there is no folder .*nowhere/],
    ['a file', 'file', /file is a file/],
    ['an empty folder', 'empty', /empty holds no class folders/],
    ['class folders without pictures', 'bare', /bare hold no pictures/],
    ['a class without pictures', 'half', /class folder y of .*half/],
  ])('says what is missing: %s', async (_, name, pattern) => {
    await inTemporaryFolder(async (root) => {
      await put(root, 'file', '')
      await put(root, 'empty/picture.png', await drawnPng(8, 8, 1))
      await put(root, 'bare/x/readme.txt', '')
      await put(root, 'half/x/picture.png', await drawnPng(8, 8, 1))
      await put(root, 'half/y/.hidden.png', '')
      const opening = openTrainingData(recipeData(join(root, name)), { seed: 1, inputSize: 8, cacheDirectory: join(root, 'cache') })
      await expect(opening).rejects.toEqual(message('DATA_MISSING', pattern))
    })
  })

  it('refuses other classes in validation, a split of nothing, and a broken picture, by name', async () => {
    await withFolders(async (root, open) => {
      await rename(join(root, 'plain/val/b'), join(root, 'plain/val/bee'))
      await expect(open(recipeData(join(root, 'plain/train'), join(root, 'plain/val')))).rejects.toEqual(
        message('RECIPE_INVALID', /b missing; bee unknown/),
      )
      await put(root, 'single/a/one.png', await drawnPng(8, 8, 1))
      await expect(open(recipeData(join(root, 'single')))).rejects.toEqual(message('RECIPE_INVALID', /split leaves no pictures/))
      await put(root, 'plain/train/b/zz.jpg', 'no picture')
      await expect(open(recipeData(join(root, 'plain/train')))).rejects.toEqual(
        message('DATA_CORRUPT', /train\/b\/zz\.jpg cannot be decoded/),
      )
    })
  })
})

describe("a worker's data", () => {
  it.each([
    ['subfolders of it, packed', 'packed'],
    ['subfolders of it, plain', 'plain'],
  ])('is found by digest in %s', async (_, directory) => {
    await withFolders(async (root, open) => {
      const coordinators = await open(recipeData(join(root, 'packed/train'), join(root, 'packed/val')))
      const away = recipeData('/elsewhere/train', '/elsewhere/val')
      const found = await open(away, { expected: coordinators.digests, directory: join(root, directory) })
      expect([found.digest, found.train.size, found.validation.size]).toEqual([coordinators.digest, 24, 9])
      await Promise.all([found.close(), coordinators.close()])
    })
  })

  it('may be the very folder when validation is split off', async () => {
    await withFolders(async (root, open) => {
      const coordinators = await open(recipeData(join(root, 'plain/train')))
      const found = await open(recipeData('/elsewhere'), { expected: coordinators.digests, directory: join(root, 'packed/train') })
      expect(found.digest).toBe(coordinators.digest)
      await Promise.all([found.close(), coordinators.close()])
    })
  })

  it('is refused when it is another, saying what was found and what is wanted', async () => {
    await withFolders(async (root, open) => {
      const coordinators = await open(recipeData(join(root, 'packed/train'), join(root, 'packed/val')))
      const { digests } = coordinators
      await coordinators.close()
      await rm(join(root, 'packed/val'), { recursive: true })
      const away = recipeData('/elsewhere/train', '/elsewhere/val')
      await expect(open(away, { expected: digests, directory: join(root, 'packed') })).rejects.toEqual(
        message(
          'WORKER_REFUSED_DATA',
          new RegExp(`validation set .* 9 pictures .*${digests.validation.slice(0, 12)}.*train \\(24 pictures.*--data`),
        ),
      )
      await expect(open(away, { expected: digests, directory: join(root, 'nowhere') })).rejects.toEqual(
        message('DATA_MISSING', /nowhere.*--data/),
      )
      await put(root, 'empty/file', '')
      await expect(open(away, { expected: digests, directory: join(root, 'empty') })).rejects.toEqual(
        message('DATA_MISSING', /no data set in .*24 pictures/),
      )
      await expect(open(recipeData(join(root, 'plain/val')), { expected: digests })).rejects.toEqual(
        message('WORKER_REFUSED_DATA', /training pictures .*9 pictures here, 24 there/),
      )
    })
  })
})
