import { createHash } from 'node:crypto'
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { extract } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import type { DatasetDescription } from '@lockstep/shared/sampling/dataset-description.js'
import { drawClassFolders, drawn, drawnPng, inTemporaryFolder, put } from './drawn-pictures.js'
import { openFolder } from './open-folder.js'
import { packFolder } from './pack-folder.js'
import { decodePicture } from './picture.js'

const digestsOf = async (folder: string): Promise<Record<string, string>> => {
  const files = (await readdir(folder)).sort()
  const digest = async (file: string): Promise<string> =>
    createHash('sha256')
      .update(await readFile(join(folder, file)))
      .digest('hex')
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await digest(file)] as const)))
}

const message = (code: string, ...parts: string[]): unknown =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(new RegExp(parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'))) as string,
  })

describe('packFolder', () => {
  it('makes the same bytes whatever the parallelism, and leaves nothing beside them', async () => {
    await inTemporaryFolder(async (root) => {
      await drawClassFolders(join(root, 'in'), ['b', 'a', 'ä'], 7)
      const packed = [1, 2, 7].map((parallelism) => ({ parallelism, output: join(root, `out-${String(parallelism)}`) }))
      for (const { parallelism, output } of packed) {
        expect(await packFolder({ input: join(root, 'in'), output, onBroken: 'stop', shardBytes: 20_000, parallelism })).toMatchObject({
          samples: 21,
          classes: 3,
          shards: 4,
          skipped: [],
        })
      }
      const [first, ...others] = await Promise.all(packed.map(({ output }) => digestsOf(output)))
      for (const other of others) expect(other).toEqual(first)
      expect((await readdir(root)).sort()).toEqual(['in', 'out-1', 'out-2', 'out-7'])
    })
  })

  it('writes tar entries that the index points at, pictures untouched, classes in byte order', async () => {
    await inTemporaryFolder(async (root) => {
      const names = await drawClassFolders(join(root, 'in'), ['Z', 'a', 'ä'], 3)
      await packFolder({ input: join(root, 'in'), output: join(root, 'out'), onBroken: 'stop', shardBytes: 6_000 })
      const description = JSON.parse(await readFile(join(root, 'out', 'dataset.json'), 'utf8')) as DatasetDescription
      expect([description.classes, description.counts, description.kind]).toEqual([['Z', 'a', 'ä'], [3, 3, 3], 'shards'])
      const entries: [string, Buffer][] = []
      for (const shard of description.shards) {
        const tar = extract()
        tar.end(await readFile(join(root, 'out', shard.file)))
        for await (const entry of tar) {
          expect([entry.header.mtime, entry.header.uid, entry.header.gid, entry.header.mode]).toEqual([new Date(0), 0, 0, 0o644])
          const chunks: Buffer[] = []
          for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk)
          entries.push([entry.header.name, Buffer.concat(chunks)])
        }
      }
      const folder = await openFolder(join(root, 'out'))
      expect(description.shards.length).toBeGreaterThan(1)
      expect(entries).toHaveLength(2 * names.length)
      for (const [i, name] of names.entries()) {
        const original = await readFile(join(root, 'in', name))
        const base = String(i).padStart(9, '0')
        expect(entries[2 * i]).toEqual([`${base}.png`, original])
        expect(entries[2 * i + 1]).toEqual([`${base}.cls`, Buffer.from(String(Math.floor(i / 3)))])
        expect([await folder.read(i), folder.label(i), folder.name(i)]).toEqual([original, Math.floor(i / 3), name])
      }
      expect(folder.blocks).toEqual(description.shards.map((shard) => shard.samples))
      await folder.close()
    })
  })

  it('names a broken picture and stops, or skips and lists it', async () => {
    await inTemporaryFolder(async (root) => {
      await drawClassFolders(join(root, 'in'), ['a', 'b'], 2)
      const jpeg = await drawn(40, 40, 1).jpeg().toBuffer()
      await put(root, 'in/a/000b.jpg', jpeg.subarray(0, jpeg.length - 300))
      const options = { input: join(root, 'in'), output: join(root, 'out') }
      await expect(packFolder({ ...options, onBroken: 'stop' })).rejects.toEqual(message('DATA_CORRUPT', 'a/000b.jpg', '--on-broken skip'))
      expect(await readdir(root)).toEqual(['in'])
      const result = await packFolder({ ...options, onBroken: 'skip' })
      expect([result.samples, result.skipped.length, result.skipped[0]]).toEqual([4, 1, expect.stringContaining('a/000b.jpg: ')])
      await put(root, 'in/c/only.png', 'no picture')
      await expect(packFolder({ ...options, output: join(root, 'two'), onBroken: 'skip' })).rejects.toEqual(
        message('DATA_CORRUPT', 'class c'),
      )
    })
  })

  it('re-encodes what is larger than shortSide, and keeps the bytes of the rest', async () => {
    await inTemporaryFolder(async (root) => {
      const small = await drawnPng(16, 30, 1)
      await put(root, 'in/a/large.png', await drawnPng(64, 48, 1))
      await put(root, 'in/a/small.png', small)
      await packFolder({ input: join(root, 'in'), output: join(root, 'out'), onBroken: 'stop', shortSide: 24 })
      const folder = await openFolder(join(root, 'out'))
      const picture = await decodePicture(await folder.read(0), null)
      expect([picture.height, picture.width]).toEqual([32, 24])
      expect(await folder.read(1)).toEqual(small)
      const { mean, pixels } = folder.description
      const both = [picture, await decodePicture(small, null)]
      expect(pixels).toBe(both.reduce((sum, { pixels }) => sum + pixels.length / 3, 0))
      const red = both.flatMap(({ pixels }) => [...pixels].filter((_, i) => i % 3 === 0))
      expect(mean[0]).toBeCloseTo(red.reduce((sum, value) => sum + value, 0) / red.length, 10)
      await folder.close()
    })
  })

  it('mixes the classes when asked to, and repeatably', async () => {
    await inTemporaryFolder(async (root) => {
      await drawClassFolders(join(root, 'in'), ['a', 'b'], 8)
      const labels = async (output: string, shuffleSeed: number): Promise<number[]> => {
        await packFolder({ input: join(root, 'in'), output: join(root, output), onBroken: 'stop', shuffleSeed })
        const folder = await openFolder(join(root, output))
        await folder.close()
        return Array.from({ length: folder.size }, (_, i) => folder.label(i))
      }
      const first = await labels('one', 1)
      expect(first).toEqual(await labels('two', 1))
      expect(first).not.toEqual([...first].sort())
      expect(first.filter((label) => label === 0)).toHaveLength(8)
    })
  })

  it('leaves nothing behind when it is interrupted', async () => {
    await inTemporaryFolder(async (root) => {
      await drawClassFolders(join(root, 'in'), ['a'], 12)
      const stop = new AbortController()
      const done: number[] = []
      const packing = packFolder({
        input: join(root, 'in'),
        output: join(root, 'out'),
        onBroken: 'stop',
        signal: stop.signal,
        onProgress: (progress) => {
          done.push(progress.done)
          if (progress.done === 3) stop.abort()
        },
      })
      await expect(packing).rejects.toEqual(message('INTERRUPTED', 'in'))
      expect(done).toEqual([1, 2, 3])
      expect(await readdir(root)).toEqual(['in'])
    })
  })

  it('does not write over what is there, nor into what it reads', async () => {
    await inTemporaryFolder(async (root) => {
      await drawClassFolders(join(root, 'in'), ['a'], 1)
      await put(root, 'out/precious.txt', 'mine')
      await expect(packFolder({ input: join(root, 'in'), output: join(root, 'out'), onBroken: 'stop' })).rejects.toEqual(
        message('USAGE', 'out exists already'),
      )
      await expect(packFolder({ input: join(root, 'in'), output: join(root, 'in/a/out'), onBroken: 'stop' })).rejects.toEqual(
        message('USAGE', 'lies inside'),
      )
      await put(root, 'file', '')
      await expect(packFolder({ input: join(root, 'in'), output: join(root, 'file/out'), onBroken: 'stop' })).rejects.toEqual(
        message('DISK', 'file/out'),
      )
    })
  })
})

describe('a packed folder', () => {
  const withPacked = (work: (out: string) => Promise<void>): Promise<void> =>
    inTemporaryFolder(async (root) => {
      await drawClassFolders(join(root, 'in'), ['a', 'b'], 4)
      await packFolder({ input: join(root, 'in'), output: join(root, 'out'), onBroken: 'stop', shardBytes: 9_000 })
      await work(join(root, 'out'))
    })

  it('whose shard was cut short is refused at opening, by name', async () => {
    await withPacked(async (out) => {
      await truncate(join(out, 'shard-000001.tar'), 1000)
      await expect(openFolder(out)).rejects.toEqual(message('DATA_CORRUPT', 'shard-000001.tar was cut short', 'lockstep pack'))
    })
  })

  it('with a flipped byte is found out when the record is read, and only then', async () => {
    await withPacked(async (out) => {
      const file = join(out, 'shard-000000.tar')
      const bytes = await readFile(file)
      bytes[512 + 100] = (bytes[512 + 100] ?? 0) ^ 1
      await writeFile(file, bytes)
      const folder = await openFolder(out)
      await expect(folder.read(0)).rejects.toEqual(
        message('DATA_CORRUPT', 'record 0 (a/000.png) of', 'shard-000000.tar', 'CRC-32', 'lockstep pack'),
      )
      expect((await folder.read(1)).length).toBeGreaterThan(0)
      await folder.close()
    })
  })

  it.each([
    ['a missing shard', 'shard-000000.tar', null, 'shard-000000.tar is missing'],
    ['a missing index', 'shard-000000.idx', null, 'shard-000000.idx cannot be read'],
    ['a broken description', 'dataset.json', '{', 'dataset.json is not valid JSON'],
    ['a description of another kind', 'dataset.json', '{"format":"other"}', 'dataset.json is not a data set'],
  ])('with %s is refused by name', async (_, file, content, expected) => {
    await withPacked(async (out) => {
      if (content === null) await rm(join(out, file))
      else await writeFile(join(out, file), content)
      await expect(openFolder(out)).rejects.toEqual(message('DATA_CORRUPT', expected))
    })
  })

  it('with the index of another data set is refused', async () => {
    await withPacked(async (out) => {
      const description = JSON.parse(await readFile(join(out, 'dataset.json'), 'utf8')) as DatasetDescription
      await writeFile(join(out, 'dataset.json'), JSON.stringify({ ...description, classes: ['a', 'c'] }))
      await expect(openFolder(out)).rejects.toEqual(message('DATA_CORRUPT', 'do not belong'))
    })
  })
})
