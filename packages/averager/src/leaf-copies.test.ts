import { describe, expect, it } from 'vitest'
import { CopyTally } from './copy-tally.js'
import { LeafCopies, type LeafCopy } from './leaf-copies.js'

const CHUNKS = 3
const statistics = { lossSum: 1.5, samples: 4, correctTop1: 1, correctTop5: 3 }
const bytes = (chunk: number, value = 7): Uint8Array => new Uint8Array(64).fill(value + chunk)

function begun(audited = [2]): LeafCopies {
  const copies = new LeafCopies(CHUNKS)
  copies.begin({ audited, quarantined: ['liar'] })
  return copies
}

/** Sends some chunks of leaf 2. @param accepted whether they count */
function send(copies: LeafCopies, worker: string, chunks: readonly number[], accepted: boolean, value = 7): LeafCopy[] {
  return chunks.flatMap((chunk) =>
    copies.add({ leaf: 2, chunk, worker, body: bytes(chunk, value), statistics: chunk === 0 ? statistics : undefined }, accepted),
  )
}

describe('LeafCopies', () => {
  it('tells a copy when its last chunk is there, in any order, and equal bits have equal digests', () => {
    const copies = begun()
    const first = send(copies, 'a', [2, 0, 1], true)
    expect(first.map(({ from, counted }) => ({ from, counted }))).toEqual([
      { from: ['a'], counted: false },
      { from: ['a'], counted: true },
    ])
    const [second, ...rest] = send(copies, 'b', [0, 1, 2], false)
    expect(rest).toEqual([])
    expect(second).toEqual({ leaf: 2, from: ['b'], counted: false, digest: first[0]?.digest })
    expect(first[1]?.digest).toBe(first[0]?.digest)
  })

  it('has another digest for one other bit and for other statistics', () => {
    const copies = begun()
    const [honest] = send(copies, 'a', [0, 1, 2], false)
    const other = (chunk: number, body: Uint8Array, loss: number): LeafCopy | undefined => {
      const worker = `w${String(chunk)}${String(loss)}`
      const whole = [0, 1, 2].flatMap((at) =>
        copies.add(
          {
            ...{ leaf: 2, chunk: at, worker, body: at === chunk ? body : bytes(at) },
            statistics: at === 0 ? { ...statistics, lossSum: loss } : undefined,
          },
          false,
        ),
      )
      return whole[0]
    }
    const flipped = bytes(1)
    flipped[63] = (flipped[63] ?? 0) ^ 1
    expect(other(1, flipped, 1.5)?.digest).not.toBe(honest?.digest)
    expect(other(1, bytes(1), 1.25)?.digest).not.toBe(honest?.digest)
    expect(other(2, bytes(2), 1.5)?.digest).toBe(honest?.digest)
  })

  it('tells what counts apart from who sent it all: a part of a worker that died half way is seen', () => {
    const copies = begun()
    expect(send(copies, 'dying', [0], true, 99)).toEqual([])
    const told = [...send(copies, 'b', [0], false), ...send(copies, 'b', [1, 2], true)]
    const whole = told.find(({ counted }) => !counted)
    const sum = told.find(({ counted }) => counted)
    expect(whole?.from).toEqual(['b'])
    expect(sum?.from).toEqual(['dying', 'b'])
    expect(sum?.digest).not.toBe(whole?.digest)
  })

  it('counts a chunk that comes twice from one worker once', () => {
    const copies = begun()
    send(copies, 'a', [0, 1], true)
    expect(send(copies, 'a', [0, 1, 0], false)).toEqual([])
    expect(send(copies, 'a', [2], true).length).toBe(2)
  })

  it('knows what may not hide an audited leaf, and whom not to take anything from', () => {
    const copies = begun([2, 5])
    expect(copies.hides({ first: 2, count: 2 })).toBe(true)
    expect(copies.hides({ first: 2, count: 1 })).toBe(false)
    expect(copies.hides({ first: 0, count: 2 })).toBe(false)
    expect(copies.isAudited({ first: 5, count: 1 })).toBe(true)
    expect(copies.isAudited({ first: 4, count: 1 })).toBe(false)
    expect([copies.isQuarantined('liar'), copies.isQuarantined('a')]).toEqual([true, false])
    copies.begin({ audited: [], quarantined: [] })
    expect([copies.hides({ first: 0, count: 8 }), copies.isQuarantined('liar')]).toEqual([false, false])
  })
})

describe('CopyTally', () => {
  const copy = (digest: string, from: string[], counted = false): LeafCopy => ({ leaf: 2, from, counted, digest })

  it('puts a copy together from all slices, whatever their order, and keeps workers and the sum apart', () => {
    const tally = new CopyTally(2)
    expect(tally.add(copy('x', ['a']), 1)).toBeUndefined()
    expect(tally.add(copy('x', ['b']), 0)).toBeUndefined()
    expect(tally.add(copy('x', ['a'], true), 1)).toBeUndefined()
    const a = tally.add(copy('y', ['a']), 0)
    const b = tally.add(copy('y', ['b']), 1)
    expect(a).toMatchObject({ leaf: 2, from: ['a'], counted: false })
    expect(b?.digest).not.toBe(a?.digest) // the same parts on other slices are other bits
    expect(tally.add(copy('y', ['b', 'a'], true), 0)).toEqual({ leaf: 2, from: ['b', 'a'], counted: true, digest: a?.digest })
  })

  it('forgets everything when a step begins again', () => {
    const tally = new CopyTally(2)
    tally.add(copy('x', ['a']), 1)
    tally.clear()
    expect(tally.add(copy('y', ['a']), 0)).toBeUndefined()
  })
})
