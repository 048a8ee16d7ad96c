import { describe, expect, it } from 'vitest'
import { encodeIndex, IndexFile } from './index-file.js'

const records = [
  { offset: 512, length: 100, label: 0, crc: 0xffffffff, name: 'cat/one.jpg' },
  { offset: 2 ** 40 + 512, length: 4_000_000_000, label: 999, crc: 1, name: 'œuf/ü — 蛋.png' },
  { offset: 5_000_000_000, length: 0, label: 3, crc: 0, name: '' },
]

describe('IndexFile', () => {
  it('gives back what was encoded', () => {
    const index = new IndexFile(encodeIndex('shard', 7, 2 ** 41, records), 'x.idx')
    expect([index.kind, index.size, index.firstSample, index.dataBytes]).toEqual(['shard', 3, 7, 2 ** 41])
    const found = records.map((_, i) => ({
      offset: index.offset(i),
      length: index.length(i),
      label: index.label(i),
      crc: index.crc(i),
      name: index.name(i),
    }))
    expect(found).toEqual(records)
  })

  it.each([
    ['another file', () => Buffer.from('not an index at all, but long enough to hold a header of 64 bytes')],
    ['a cut header', (bytes: Buffer) => bytes.subarray(0, 40)],
    ['a cut body', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['a changed record', (bytes: Buffer) => flip(bytes, 70)],
    ['a changed name', (bytes: Buffer) => flip(bytes, bytes.length - 2)],
    ['another version', (bytes: Buffer) => flip(bytes, 4)],
    ['an unknown kind', (bytes: Buffer) => flip(bytes, 9)],
  ])('refuses %s and names the file', (_, damage) => {
    const damaged = damage(encodeIndex('shard', 0, 1, records))
    expect(() => new IndexFile(damaged, '/data/shard-000000.idx')).toThrow(
      expect.objectContaining({ code: 'DATA_CORRUPT', message: expect.stringContaining('/data/shard-000000.idx') as string }),
    )
  })
})

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] ?? 0) ^ 1
  return changed
}
