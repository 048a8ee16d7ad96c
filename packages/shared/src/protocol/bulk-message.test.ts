import { describe, expect, it } from 'vitest'
import { contributions, services, weightsChunks } from './grpc-definitions.js'

const { Contribute, Weights } = services.Averager.service

describe('messages with bodies', () => {
  it.each([1, 127, 128, 16_383, 16_384, 2 ** 20])('arrive as protobuf would bring them, with %i bytes', (bytes) => {
    const shared = new Uint8Array(new SharedArrayBuffer(bytes + 3)).subarray(3)
    for (let at = 0; at < bytes; at++) shared[at] = at * 7
    const body = Buffer.from(shared)
    const message = { run: 'r', term: 3, step: 70_000, firstLeaf: 4, leafCount: 2, chunk: 9, statistics: { lossSum: 0.5, samples: 8 } }
    const sent = Contribute.requestDeserialize(Contribute.requestSerialize(contributions.withBody(message, shared)))
    const plain = Contribute.requestDeserialize(Contribute.requestSerialize({ ...message, body }))
    expect({ ...sent, body: sent.body.length }).toEqual({ ...plain, body: bytes })
    expect(body.equals(sent.body)).toBe(true)
    const handedOut = Weights.responseDeserialize(Weights.responseSerialize(weightsChunks.withBody({ chunk: 5 }, shared)))
    expect(handedOut.chunk).toBe(5)
    expect(body.equals(handedOut.body)).toBe(true)
  })

  it('keep the body they were made with, whatever becomes of the memory it came from', () => {
    const memory = Buffer.from('as it was')
    const message = weightsChunks.withBody({ chunk: 0 }, memory)
    memory.fill(0)
    expect(Weights.responseDeserialize(Weights.responseSerialize(message)).body.toString()).toBe('as it was')
  })

  it('are others than those without a body, which are encoded as ever', () => {
    const plain = { chunk: 1, shared: { path: '/proc/1/fd/3', offset: 0, bytes: 4, inode: 2, lent: true } }
    expect(Weights.responseDeserialize(Weights.responseSerialize(plain))).toMatchObject(plain)
  })
})
