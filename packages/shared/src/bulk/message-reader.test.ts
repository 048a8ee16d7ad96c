import { describe, expect, it } from 'vitest'
import { BufferPool } from './buffer-pool.js'
import { MESSAGE_LIMIT_BYTES, MessageReader, ProtocolError } from './message-reader.js'

/** Messages of these lengths, each filled with its number, behind gRPC's prefix. */
function wire(lengths: readonly number[]): Buffer {
  return Buffer.concat(
    lengths.map((length, number) => {
      const message = Buffer.alloc(5 + length, number + 1)
      message.writeUInt8(0, 0)
      message.writeUInt32BE(length, 1)
      return message
    }),
  )
}

function reading(pool = new BufferPool()): { reader: MessageReader; seen: Buffer[] } {
  const seen: Buffer[] = []
  return { seen, reader: new MessageReader(pool, (bytes) => seen.push(Buffer.from(bytes))) }
}

function readInPieces(reader: MessageReader, bytes: Buffer, pieceBytes: number): void {
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.read(bytes.subarray(at, at + pieceBytes))
}

describe('messages', () => {
  const lengths = [0, 1, 4, 5, 6, 100, 0, 70_000, 3, 20_000, 0]

  it.each([1, 2, 3, 5, 7, 64, 16_384, 65_536, 1_000_000])('come out of pieces of %i bytes as they went in', (pieceBytes) => {
    const { reader, seen } = reading()
    readInPieces(reader, wire(lengths), pieceBytes)
    expect(seen.map((bytes) => bytes.length)).toEqual(lengths)
    seen.forEach((bytes, number) => {
      expect(bytes.every((byte) => byte === number + 1)).toBe(true)
    })
    expect(reader.isWithin).toBe(false)
  })

  it('are told of when they are whole, and what is not whole is known', () => {
    const { reader, seen } = reading()
    const bytes = wire([10])
    reader.read(bytes.subarray(0, 3))
    expect([seen.length, reader.isWithin]).toEqual([0, true])
    reader.read(bytes.subarray(3, 14))
    expect([seen.length, reader.isWithin]).toEqual([0, true])
    reader.read(bytes.subarray(14))
    expect([seen.length, reader.isWithin]).toEqual([1, false])
  })

  it.each([
    ['compressed', Buffer.from([1, 0, 0, 0, 1, 7]), 'compressed'],
    ['longer than any of ours', wire([0]).fill(0xff, 1), `longer than the ${String(MESSAGE_LIMIT_BYTES)} allowed`],
  ])('that are %s are refused before anything is kept of them', (_, bytes, why) => {
    const { reader } = reading()
    expect(() => {
      reader.read(bytes)
    }).toThrow(ProtocolError)
    expect(() => {
      reading().reader.read(bytes)
    }).toThrow(why)
  })
})

describe('the buffer of a large message', () => {
  /** Reads two messages in pieces; what it keeps of the first it lets go `times` times. @returns the memory each lay in */
  function memoryOfTwo(keep: boolean, times = 0): { same: boolean; firstStill: boolean } {
    const bodies: Buffer[] = []
    const releases: (() => void)[] = []
    const reader = new MessageReader(new BufferPool(), (bytes, lease) => {
      bodies.push(bytes)
      if (keep) releases.push(lease.keep())
    })
    const bytes = wire([50_000, 50_000, 50_000])
    readInPieces(reader, bytes.subarray(0, 50_005), 1000)
    for (let time = 0; time < times; time++) releases[0]?.()
    readInPieces(reader, bytes.subarray(50_005), 1000)
    const [first, second, third] = bodies.map(({ buffer }) => buffer)
    return { same: first === second, firstStill: times < 2 ? bodies[0]?.every((byte) => byte === 1) === true : second !== third }
  }

  it('is used again when the handler has returned', () => {
    expect(memoryOfTwo(false).same).toBe(true)
  })

  it('stays as it is while the handler keeps it', () => {
    expect(memoryOfTwo(true)).toEqual({ same: false, firstStill: true })
  })

  it('is used again when what was kept is let go, once, however often that is said', () => {
    expect(memoryOfTwo(true, 1).same).toBe(true)
    // were it given back twice, the second and the third message would lie in the same memory
    expect(memoryOfTwo(true, 2)).toEqual({ same: true, firstStill: true })
  })
})
