import { describe, expect, it } from 'vitest'
import { decodeHeader, decodeHeaderLength, encodeHeader, LENGTH_BYTES } from './safetensors.js'

const json = (header: unknown): Buffer => Buffer.from(JSON.stringify(header))
const f32 = (shape: number[], from: number, to: number): object => ({ dtype: 'F32', shape, data_offsets: [from, to] })

describe('safetensors header', () => {
  it('is padded to eight bytes and read as it was written', () => {
    for (const extra of ['', 'a', 'ab', 'abc', 'ü']) {
      const header = encodeHeader(
        [
          { name: `conv/kernel${extra}`, shape: [3, 3, 2, 4] },
          { name: 'conv/bias', shape: [4] },
          { name: 'scalar', shape: [] },
        ],
        { note: 'x\n"y"' },
      )
      expect(header.length % 8).toBe(0)
      const length = decodeHeaderLength(header.subarray(0, LENGTH_BYTES), 'f', 1e6)
      expect(length).toBe(header.length - LENGTH_BYTES)
      const decoded = decodeHeader(header.subarray(LENGTH_BYTES), 'f', header.length + (72 + 4 + 1) * 4)
      expect([...decoded.tensors]).toEqual([
        [`conv/kernel${extra}`, { dtype: 'F32', shape: [3, 3, 2, 4], offset: header.length, bytes: 288 }],
        ['conv/bias', { dtype: 'F32', shape: [4], offset: header.length + 288, bytes: 16 }],
        ['scalar', { dtype: 'F32', shape: [], offset: header.length + 304, bytes: 4 }],
      ])
      expect(decoded.metadata).toEqual({ note: 'x\n"y"' })
    }
  })

  const whole = { a: f32([2], 0, 8), b: { dtype: 'I64', shape: [1], data_offsets: [8, 16] } }

  it('takes tensors of other types and in any order', () => {
    const header = json({ b: whole.b, a: whole.a })
    expect([...decodeHeader(header, 'f', LENGTH_BYTES + header.length + 16).tensors.keys()]).toEqual(['a', 'b'])
  })

  it.each([
    ['not JSON', Buffer.from('{"a":'), 0, 'not JSON'],
    ['not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 0, 'not JSON'],
    ['a list', json([]), 0, 'not a JSON object'],
    ['metadata that are not strings', json({ __metadata__: { a: 1 } }), 0, 'metadata are not strings'],
    ['a file that is cut off', json(whole), 15, 'bytes where its header promises'],
    ['a file that goes on', json(whole), 17, 'bytes where its header promises'],
    ['a hole', json({ a: f32([2], 0, 8), b: f32([1], 12, 16) }), 16, 'tensor b stands after a hole'],
    ['an overlap', json({ a: f32([2], 0, 8), b: f32([1], 4, 8) }), 8, 'tensor b overlaps another'],
    ['a hole at the start', json({ a: f32([1], 4, 8) }), 8, 'tensor a stands after a hole'],
    ['a size that is not that of the shape', json({ a: f32([3], 0, 8) }), 8, 'tensor a of shape 3 has 8 bytes instead of 12'],
    ['offsets that go back', json({ a: f32([2], 8, 0) }), 8, '-8 bytes instead of 8'],
    ['an unknown type', json({ a: { dtype: 'F31', shape: [1], data_offsets: [0, 4] } }), 4, 'unknown type F31'],
    ['a shape that is none', json({ a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }), 4, 'no proper shape'],
    ['no offsets', json({ a: { dtype: 'F32', shape: [1] } }), 4, 'no proper data_offsets'],
    ['no description', json({ a: 1 }), 4, 'no description'],
  ])('refuses %s in one line', (_, header, bytes, what) => {
    const decode = (): unknown => decodeHeader(header, '/x/y.safetensors', LENGTH_BYTES + header.length + bytes)
    expect(decode).toThrow(what)
    expect(decode).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringMatching(/^\/x\/y\.safetensors [^\n]*; use another checkpoint[^\n]*$/) as string,
      }),
    )
  })

  it.each([
    ['shorter than the prefix', Buffer.alloc(3), 3],
    ['a length beyond all measure', Buffer.alloc(8, 0xff), 1e9],
    ['a length beyond the file', encodeHeader([], {}).subarray(0, 8), 12],
  ])('refuses %s', (_, prefix, bytes) => {
    expect(() => decodeHeaderLength(prefix, 'f', bytes)).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }))
  })
})
