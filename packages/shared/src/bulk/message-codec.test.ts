import { describe, expect, it } from 'vitest'
import { contributeMethod, services, weightsMethod } from '../protocol/grpc-definitions.js'
import { BufferPool } from './buffer-pool.js'
import { PREFIX_BYTES } from './message-codec.js'

const { Contribute, Weights } = services.Averager.service
const pool = new BufferPool()

describe('frames with a body', () => {
  it.each([1, 127, 128, 16_383, 16_384, 2 ** 20])('are what protobuf would bring, with %i bytes', (length) => {
    const shared = new Uint8Array(new SharedArrayBuffer(length + 3)).subarray(3)
    for (let at = 0; at < length; at++) shared[at] = at * 7
    const body = Buffer.from(shared)
    const message = { run: 'r', term: 3, step: 70_000, firstLeaf: 4, leafCount: 2, chunk: 9, statistics: { lossSum: 0.5, samples: 8 } }
    const { bytes } = contributeMethod.request.frame(message, shared, pool)
    expect([bytes.readUInt8(0), bytes.readUInt32BE(1)]).toEqual([0, bytes.length - PREFIX_BYTES])
    const sent = Contribute.requestDeserialize(bytes.subarray(PREFIX_BYTES))
    const plain = Contribute.requestDeserialize(Contribute.requestSerialize({ ...message, body }))
    expect({ ...sent, body: sent.body.length }).toEqual({ ...plain, body: length })
    expect(body.equals(sent.body)).toBe(true)
    const handedOut = Weights.responseDeserialize(weightsMethod.response.frame({ chunk: 5 }, shared, pool).bytes.subarray(PREFIX_BYTES))
    expect(handedOut.chunk).toBe(5)
    expect(body.equals(handedOut.body)).toBe(true)
  })

  it('keep the body they were made with, whatever becomes of the memory it came from', () => {
    const memory = Buffer.from('as it was')
    const { bytes } = weightsMethod.response.frame({ chunk: 0 }, memory, pool)
    memory.fill(0)
    expect(weightsMethod.response.decode(Buffer.from(bytes.subarray(PREFIX_BYTES))).body.toString()).toBe('as it was')
  })

  it('lie in a buffer of the pool, which gives it out again when it was given back, and not before', () => {
    const own = new BufferPool()
    const frame = (): Buffer | undefined => weightsMethod.response.frame({ chunk: 0 }, Buffer.alloc(2 ** 20), own).pooled
    const [first, second] = [frame(), frame()]
    expect(first).not.toBe(second)
    if (first !== undefined) own.give(first)
    expect(frame()).toBe(first)
  })
})

describe('frames without one', () => {
  it('are encoded as ever', () => {
    const plain = { chunk: 1, shared: { path: '/proc/1/fd/3', offset: 0, bytes: 4, inode: 2, lent: true } }
    const { bytes, pooled } = weightsMethod.response.frame(plain, undefined, pool)
    expect(pooled).toBeUndefined()
    expect(bytes.subarray(PREFIX_BYTES).equals(Weights.responseSerialize(plain))).toBe(true)
  })
})
