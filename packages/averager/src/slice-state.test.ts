import { describe, expect, it } from 'vitest'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'
import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import { leafGradient, nodeGradient, referenceUpdate } from './reference-step.js'
import { SliceState } from './slice-state.js'

const SIZE = CHUNK_FLOATS + 3
const RATE = 0.01
const MOMENTUM = 0.9
const DECAY = 5e-4

interface Told {
  covered: LeafRange[]
  chunks: number[]
  reduced: boolean[]
}

function start(leaves: number, arena = Arena.create()): { slice: SliceState; told: Told; arena: Arena } {
  const told: Told = { covered: [], chunks: [], reduced: [] }
  const options = {
    run: 'r',
    term: 1,
    leaves,
    slice: { index: 1, offset: 7, size: SIZE },
    microBatches: leaves,
    momentum: MOMENTUM,
    nesterov: false,
    clips: false,
    updateRanges: [{ offset: 0, size: SIZE, decay: DECAY }],
  }
  const slice = new SliceState(options, arena, {
    covered: (range) => told.covered.push(range),
    chunkUpdated: (chunk) => told.chunks.push(chunk),
    reduced: (finite) => told.reduced.push(finite),
  })
  slice.open(0)
  return { slice, told, arena }
}

/** @param onRelease told when the body is let go; it is spoiled then, as the next message in its place would do */
function contribute(slice: SliceState, step: number, node: LeafRange, chunk: number, onRelease?: () => void): string {
  const values = nodeGradient(step, node, SIZE).subarray(chunk * CHUNK_FLOATS, (chunk + 1) * CHUNK_FLOATS)
  // off by one byte: what gRPC hands over is aligned to nothing
  const body = Buffer.alloc(values.byteLength + 1).subarray(1)
  body.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  const message: Contribution__Output = {
    run: 'r',
    term: 1,
    step,
    firstLeaf: node.first,
    leafCount: node.count,
    chunk,
    body,
    statistics: null,
    shared: null,
  }
  return slice.contribute(message, '', undefined, () => {
    body.fill(0xff)
    onRelease?.()
  })
}

const leaf = (first: number): LeafRange => ({ first, count: 1 })

function expectVersion(slice: SliceState, version: number, leaves: number): void {
  const [weights, velocity] = [new Float32Array(SIZE), new Float32Array(SIZE)]
  for (let step = 0; step < version; step++) {
    referenceUpdate(weights, velocity, nodeGradient(step, { first: 0, count: leaves }, SIZE), {
      momentum: MOMENTUM,
      rate: RATE,
      decayOf: () => DECAY,
    })
  }
  const actual = Buffer.concat([slice.weights(version, 0), slice.weights(version, 1)])
  expect(Buffer.compare(actual, Buffer.from(weights.buffer))).toBe(0)
}

describe('slice state', () => {
  it('holds back the chunks of a pinned buffer, tells their leaves all the same, and gives the same bits after', () => {
    const { slice, told } = start(3)
    slice.beginStep(0, RATE)
    for (const first of [0, 1, 2]) for (const chunk of [0, 1]) contribute(slice, 0, leaf(first), chunk)
    slice.commit(1)
    told.covered.length = 0
    slice.pin(0)
    slice.pin(0)
    slice.beginStep(1, RATE)
    const before = slice.weights(0, 0).subarray(0).toString('hex').slice(0, 64)
    for (const [node, chunk] of [
      [leaf(2), 0],
      [leaf(1), 0],
      [leaf(0), 0],
      [leaf(0), 1],
      [{ first: 0, count: 2 }, 1],
      [{ first: 0, count: 3 }, 1],
    ] as const) {
      expect(contribute(slice, 1, node, chunk)).toBe('ACCEPTED')
    }
    expect(contribute(slice, 1, leaf(1), 1)).toBe('DUPLICATE')
    expect(told.covered).toEqual([leaf(0), leaf(1), leaf(2)])
    slice.unpin(0)
    expect(told.reduced).toEqual([true])
    expect(slice.weights(0, 0).toString('hex').slice(0, 64)).toBe(before)
    slice.unpin(0)
    expect(told.reduced).toEqual([true, true])
    expect(told.chunks).toEqual([0, 1, 0, 1])
    slice.commit(2)
    expectVersion(slice, 2, 3)
  })

  it('forgets what it held back when the version is dropped', () => {
    const { slice, told } = start(2)
    slice.pin(1)
    slice.beginStep(0, RATE)
    for (const chunk of [0, 1]) contribute(slice, 0, { first: 0, count: 2 }, chunk)
    slice.drop(1)
    slice.unpin(1)
    expect(told.reduced).toEqual([])
    expect(contribute(slice, 0, leaf(0), 0)).toBe('FUTURE_STEP')
    slice.beginStep(0, RATE)
    for (const first of [1, 0]) for (const chunk of [0, 1]) expect(contribute(slice, 0, leaf(first), chunk)).toBe('ACCEPTED')
    slice.commit(1)
    expectVersion(slice, 1, 2)
  })

  it('lets go of every body that it took: added, replaced, dropped, or the root itself, and of none before', () => {
    const { slice } = start(4)
    const held = new Set<string>()
    const take = (step: number, node: LeafRange, chunk: number): void => {
      const name = `${String(node.first)}+${String(node.count)} of chunk ${String(chunk)}`
      held.add(name)
      expect(contribute(slice, step, node, chunk, () => held.delete(name))).toBe('ACCEPTED')
    }
    slice.beginStep(0, RATE)
    take(0, leaf(0), 0)
    expect([...held]).toEqual(['0+1 of chunk 0'])
    take(0, leaf(1), 0)
    expect([...held]).toEqual([])
    take(0, leaf(3), 0)
    take(0, { first: 2, count: 2 }, 0)
    expect([...held]).toEqual([])
    take(0, leaf(0), 1)
    slice.drop(1)
    expect([...held]).toEqual([])
    slice.beginStep(0, RATE)
    for (const chunk of [0, 1]) take(0, { first: 0, count: 4 }, chunk)
    expect([...held]).toEqual([])
    slice.commit(1)
    expectVersion(slice, 1, 4)
  })

  it('uses its blocks again, step after step, whatever is replaced', () => {
    const { slice, arena } = start(4)
    let bytes = 0
    for (let step = 0; step < 6; step++) {
      slice.beginStep(step, RATE)
      for (const chunk of [0, 1]) {
        contribute(slice, step, leaf(0), chunk)
        contribute(slice, step, leaf(1), chunk) // a sum, in a block
        if (step % 2 === 0)
          contribute(slice, step, { first: 0, count: 4 }, chunk) // replaced before it was used
        else for (const first of [3, 2]) contribute(slice, step, leaf(first), chunk)
      }
      slice.commit(step + 1)
      if (step === 1) bytes = arena.memory.buffer.byteLength
    }
    expect(arena.memory.buffer.byteLength).toBe(bytes)
    expectVersion(slice, 6, 4)
  })

  it('adds outside the arena when the arena is full, to the same bits', () => {
    // four buffers and two scratch blocks, and a little for their alignment
    const { slice, arena } = start(8, Arena.create(4 * (4 * SIZE + 2 * CHUNK_FLOATS) + 2 * 65_536))
    slice.beginStep(0, RATE)
    for (const first of [6, 7, 0, 1, 5, 4, 3, 2]) for (const chunk of [0, 1]) contribute(slice, 0, leaf(first), chunk)
    slice.commit(1)
    expectVersion(slice, 1, 8)
    expect(() => arena.allocate(CHUNK_FLOATS)).toThrow(/slices/)
  })

  it('has one leaf as its tree when M is 1', () => {
    const { slice, told } = start(1)
    slice.beginStep(0, RATE)
    for (const chunk of [1, 0]) contribute(slice, 0, leaf(0), chunk)
    expect(told).toEqual({ covered: [leaf(0)], chunks: [1, 0], reduced: [true] })
    slice.commit(1)
    expectVersion(slice, 1, 1)
    expect(leafGradient(0, 0, SIZE)).toEqual(nodeGradient(0, leaf(0), SIZE))
  })
})
