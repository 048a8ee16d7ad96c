import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { maximalNodes, type LeafRange } from '@lockstep/shared/reduction/tree.js'
import { Averager, type AveragerOptions } from './averager.js'
import { ContributionClient } from './contribution-client.js'
import { leafGradient, nodeGradient, referenceUpdate } from './reference-step.js'

const SIZE = 1_000_003
const LEAVES = 8
const KERNEL = 700_001
const layout: ParameterLayout = {
  size: SIZE,
  entries: [
    { name: 'conv/kernel', shape: [KERNEL], offset: 0, size: KERNEL, kind: 'kernel' },
    { name: 'conv/bias', shape: [101], offset: KERNEL, size: 101, kind: 'bias' },
    { name: 'fc/kernel', shape: [SIZE - KERNEL - 104], offset: KERNEL + 101, size: SIZE - KERNEL - 104, kind: 'kernel' },
    { name: 'fc/bias', shape: [3], offset: SIZE - 3, size: 3, kind: 'bias' },
  ],
}
const optimizer = { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' } as const
const decayOf = (index: number): number => (index < KERNEL || (index >= KERNEL + 101 && index < SIZE - 3) ? optimizer.weightDecay : 0)
const sender = { run: 'run-1', term: 3 }
const RATE = 0.01

const closers: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function startAverager(changes: Partial<AveragerOptions> = {}): Promise<Averager> {
  const averager = await Averager.start({
    ...sender,
    layout,
    leaves: LEAVES,
    microBatches: LEAVES,
    optimizer,
    slices: 3,
    host: '127.0.0.1',
    insecureNetwork: false,
    ...changes,
  })
  closers.push(() => averager.close())
  return averager
}

function connect(averager: Averager, size = SIZE): ContributionClient {
  const client = new ContributionClient(averager.addresses, size, sender)
  closers.push(() => {
    client.close()
  })
  return client
}

/** Weights and velocity as the definition has them, moved on step by step. */
class Reference {
  constructor(private readonly nesterov = false) {}

  readonly weights = leafGradient(1000, 0, SIZE)
  readonly velocity = new Float32Array(SIZE)

  step(step: number, leaves = LEAVES): void {
    referenceUpdate(this.weights, this.velocity, nodeGradient(step, { first: 0, count: leaves }, SIZE), {
      momentum: optimizer.momentum,
      rate: RATE,
      decayOf,
      nesterov: this.nesterov,
    })
  }
}

function expectSame(actual: Float32Array, expected: Float32Array): void {
  expect(Buffer.compare(Buffer.from(actual.buffer), Buffer.from(expected.buffer))).toBe(0)
}

const leaf = (first: number): LeafRange => ({ first, count: 1 })

describe('averager', () => {
  it('gives the bits of the definition for nodes of two clients in any order, and tells coverage and statistics', async () => {
    const averager = await startAverager()
    const reference = new Reference()
    averager.write('weights', 0, reference.weights.subarray(0, 500_000))
    averager.write('weights', 500_000, reference.weights.subarray(500_000))
    await averager.open(0)
    const clients = [connect(averager), connect(averager)] as const
    expectSame(await clients[0].weights(0), reference.weights)
    const splits = [3, 4, 7]
    for (const [step, split] of splits.entries()) {
      const covered: LeafRange[] = []
      averager.on('covered', (range) => covered.push(range))
      const reduced = once(averager, 'reduced')
      await averager.beginStep(step, RATE)
      const spans = [maximalNodes(LEAVES, { first: 0, count: split }), maximalNodes(LEAVES, { first: split, count: LEAVES - split })]
      const fetched = clients[1].weights(step + 1)
      await Promise.all(
        clients.map(async (client, index) => {
          for (const node of (spans[index] ?? []).reverse()) await client.sendNode(step, node, nodeGradient(step, node, SIZE))
        }),
      )
      const [told] = (await reduced) as [Record<string, unknown>]
      expect(told).toMatchObject({ step, finite: true, samples: 4 * LEAVES, correctTop5: LEAVES })
      reference.step(step)
      expectSame(await fetched, reference.weights) // provisional: before the commit
      expect(covered.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i)).sort()).toEqual([
        0, 1, 2, 3, 4, 5, 6, 7,
      ])
      averager.removeAllListeners('covered')
      await averager.commit(step + 1)
      expectSame(averager.read('weights', 0, SIZE), reference.weights)
      expectSame(averager.read('velocity', 0, SIZE), reference.velocity)
      expectSame(averager.read('weights', 262_100, 100), reference.weights.slice(262_100, 262_200))
    }
    expect(averager.counters()).toMatchObject({ DUPLICATE: 0, MALFORMED: 0, FUTURE_STEP: 0 })
  })

  it('gives the bits of the definition with Nesterov momentum', async () => {
    const averager = await startAverager({ optimizer: { ...optimizer, nesterov: true } })
    const reference = new Reference(true)
    averager.write('weights', 0, reference.weights)
    await averager.open(0)
    const client = connect(averager)
    const whole = { first: 0, count: LEAVES }
    for (const step of [0, 1, 2]) {
      const reduced = once(averager, 'reduced')
      await averager.beginStep(step, RATE)
      await client.sendNode(step, whole, nodeGradient(step, whole, SIZE))
      await reduced
      await averager.commit(step + 1)
      reference.step(step)
    }
    expectSame(averager.read('weights', 0, SIZE), reference.weights)
    expectSame(averager.read('velocity', 0, SIZE), reference.velocity)
  })

  it('takes duplicates, overlaps of other splits and half-sent nodes, and the bits stay', async () => {
    const averager = await startAverager()
    const reference = new Reference()
    averager.write('weights', 0, reference.weights)
    await averager.open(0)
    await averager.beginStep(0, RATE)
    const [steady, dying] = [connect(averager), connect(averager)]
    const reduced = once(averager, 'reduced')
    const left = { first: 0, count: 4 }
    const half = nodeGradient(0, left, SIZE)
    for (const address of dying.chunks().slice(0, 2)) await dying.send(0, left, half, address)
    await dying.outcomes(2)
    dying.close()
    for (const first of [2, 3, 1, 0]) await steady.sendNode(0, leaf(first), leafGradient(0, first, SIZE))
    await steady.sendNode(0, leaf(5), leafGradient(0, 5, SIZE))
    await steady.sendNode(0, leaf(5), leafGradient(0, 5, SIZE)) // twice
    const right = { first: 4, count: 4 }
    await steady.sendNode(0, right, nodeGradient(0, right, SIZE)) // around leaf 5: replaces it
    await reduced
    await steady.sendNode(0, leaf(7), leafGradient(0, 7, SIZE)) // after all is whole
    const chunks = steady.chunks().length
    const outcomes = (await steady.outcomes(8 * chunks)).map(({ outcome }) => outcome)
    expect(outcomes.filter((outcome) => outcome === 'DUPLICATE')).toHaveLength(4 * 2 + 2 * chunks)
    expect(outcomes.filter((outcome) => outcome === 'ACCEPTED')).toHaveLength(8 * chunks - 4 * 2 - 2 * chunks)
    reference.step(0)
    await averager.commit(1)
    expectSame(averager.read('weights', 0, SIZE), reference.weights)
  })

  it('names what is wrong with a contribution, in the order of arrival', async () => {
    const averager = await startAverager()
    await averager.open(5)
    const client = connect(averager)
    const values = new Float32Array(SIZE)
    const first = { slice: client.slices[0] ?? { index: 0, offset: 0, size: 0 }, chunk: 0 }
    const other = { slice: client.slices[1] ?? first.slice, chunk: 0 }
    const send = (changes: object, step = 5, node = leaf(0), at = first): Promise<void> => client.send(step, node, values, at, changes)
    await send({})
    await client.outcomes(1)
    await averager.beginStep(5, RATE)
    await send({ run: 'another' })
    await send({ term: 2 })
    await send({}, 4)
    await send({}, 6)
    await send({}, 5, { first: 1, count: 2 })
    await send({}, 5, { first: 6, count: 4 })
    await send({}, 5, { first: 0, count: 0 })
    await send({ chunk: 9 })
    await send({ body: Buffer.alloc(7) })
    await send({ statistics: null })
    await send({})
    await send({})
    const outcomes = (await client.outcomes(13)).map(({ outcome }) => outcome)
    const malformed = Array.from({ length: 6 }, () => 'MALFORMED')
    expect(outcomes).toEqual(['FUTURE_STEP', 'OTHER_RUN', 'OTHER_TERM', 'PAST_STEP', 'FUTURE_STEP', ...malformed, 'ACCEPTED', 'DUPLICATE'])
    await client.send(5, leaf(0), values, other)
    expect((await client.outcomes(14)).at(-1)).toMatchObject({ step: 5, firstLeaf: 0, leafCount: 1, chunk: 0, outcome: 'ACCEPTED' })
    expect(averager.counters()).toEqual({
      ACCEPTED: 2,
      DUPLICATE: 1,
      OTHER_RUN: 1,
      OTHER_TERM: 1,
      PAST_STEP: 1,
      FUTURE_STEP: 2,
      MALFORMED: 6,
      QUARANTINED: 0,
    })
  })

  it('drops a provisional version as if it had never been, and the step done again has the same bits', async () => {
    const averager = await startAverager()
    const reference = new Reference()
    averager.write('weights', 0, reference.weights)
    await averager.open(0)
    const client = connect(averager)
    await averager.beginStep(0, RATE)
    const poison = new Float32Array(SIZE).fill(1)
    poison[900_000] = Number.NaN
    const whole = { first: 0, count: 8 }
    let reduced = once(averager, 'reduced')
    let resolveBegun: () => void = () => undefined
    const begun = new Promise<void>((resolve) => {
      resolveBegun = resolve
    })
    const aborted = expect(
      client.weights(1, () => {
        resolveBegun()
      }),
    ).rejects.toMatchObject({ code: 10 }) // ABORTED
    const chunks = client.chunks()
    for (const address of chunks.slice(0, 1)) await client.send(0, whole, poison, address)
    await client.sendNode(0, { first: 4, count: 4 }, poison)
    await Promise.all([begun, client.outcomes(1 + chunks.length)])
    await averager.drop(1)
    await aborted
    expectSame(averager.read('weights', 0, SIZE), reference.weights)
    await averager.beginStep(0, RATE)
    await client.sendNode(0, whole, poison)
    expect(await reduced).toMatchObject([{ step: 0, finite: false }])
    await averager.drop(1)
    await averager.beginStep(0, RATE)
    reduced = once(averager, 'reduced')
    const fetched = client.weights(1)
    await client.sendNode(0, whole, nodeGradient(0, whole, SIZE))
    expect(await reduced).toMatchObject([{ step: 0, finite: true }])
    reference.step(0)
    expectSame(await fetched, reference.weights)
    await averager.commit(1)
    expectSame(averager.read('velocity', 0, SIZE), reference.velocity)
  })

  it('tells a loss that is not finite', async () => {
    const averager = await startAverager()
    await averager.open(0)
    await averager.beginStep(0, RATE)
    const client = connect(averager)
    const reduced = once(averager, 'reduced')
    const statistics = { lossSum: Number.POSITIVE_INFINITY, samples: 1, correctTop1: 0, correctTop5: 0 }
    for (const address of client.chunks()) await client.send(0, { first: 0, count: 8 }, new Float32Array(SIZE), address, { statistics })
    expect(await reduced).toMatchObject([{ step: 0, finite: false, lossSum: Number.POSITIVE_INFINITY }])
  })

  it('names where it began: the layer of the first leaf that tells one, and the last parameter that is not finite', async () => {
    const averager = await startAverager()
    await averager.open(0)
    await averager.beginStep(0, RATE)
    const client = connect(averager)
    const reduced = once(averager, 'reduced')
    const poison = new Float32Array(SIZE)
    poison[5] = Number.NaN
    poison[KERNEL + 3] = Number.NaN
    for (const [first, nonFiniteLayer] of [
      [4, 2],
      [0, 0],
      [2, 7],
    ] as const) {
      const statistics = { lossSum: 1, samples: 1, correctTop1: 0, correctTop5: 0, nonFiniteLayer }
      const node = { first, count: first === 4 ? 4 : 2 }
      for (const address of client.chunks()) await client.send(0, node, poison, address, { statistics })
    }
    expect(await reduced).toMatchObject([{ finite: false, nonFiniteLayer: 7, nonFiniteParameter: 'conv/bias' }])
  })

  it('leaves an update out: the next version is the one before, weights and velocity, and training goes on from it', async () => {
    const averager = await startAverager()
    const reference = new Reference()
    averager.write('weights', 0, reference.weights)
    await averager.open(0)
    const client = connect(averager)
    const whole = { first: 0, count: 8 }
    const step = async (number: number, values: Float32Array): Promise<void> => {
      const reduced = once(averager, 'reduced')
      await averager.beginStep(number, RATE)
      await client.sendNode(number, whole, values)
      await reduced
    }
    await step(0, nodeGradient(0, whole, SIZE))
    await averager.commit(1)
    reference.step(0)
    const before = await averager.digest(1, Buffer.alloc(0))
    await step(1, new Float32Array(SIZE).fill(Number.NaN))
    await averager.drop(2)
    await averager.skip(2)
    expect(averager.committed).toBe(2)
    expect(await averager.digest(2, Buffer.alloc(0))).toEqual(before)
    expectSame(await client.weights(2), reference.weights)
    await step(2, nodeGradient(2, whole, SIZE))
    await averager.commit(3)
    reference.step(2)
    expectSame(averager.read('weights', 0, SIZE), reference.weights)
    expectSame(averager.read('velocity', 0, SIZE), reference.velocity)
  })

  it('serves the weights of now and of what comes, and refuses those of the past with a clear word', async () => {
    const averager = await startAverager()
    await averager.open(1)
    const client = connect(averager)
    await expect(client.weights(0)).rejects.toMatchObject({ code: 9, details: expect.stringContaining('version 0 is gone') as string }) // FAILED_PRECONDITION
    await expect(client.weights(4)).rejects.toMatchObject({ code: 9, details: expect.stringContaining('too far ahead') as string })
    const stranger = new ContributionClient(averager.addresses, SIZE, { ...sender, term: 4 })
    closers.push(() => {
      stranger.close()
    })
    await expect(stranger.weights(1)).rejects.toMatchObject({ code: 9, details: expect.stringContaining('term 3') as string })
    const whole = { first: 0, count: LEAVES }
    const ahead = client.weights(3)
    const gradients = [leafGradient(1, 0, SIZE), leafGradient(2, 0, SIZE)] as const
    for (const [index, gradient] of gradients.entries()) {
      const reduced = once(averager, 'reduced')
      await averager.beginStep(1 + index, RATE)
      await client.sendNode(1 + index, whole, gradient)
      await reduced
      if (index === 0) await averager.commit(2)
    }
    expect((await ahead).some((value) => value !== 0)).toBe(true)
    await averager.commit(3)
    expectSame(await ahead, averager.read('weights', 0, SIZE))
  })

  it('sends chunks of the provisional version as they come, before the step is whole', async () => {
    const averager = await startAverager({ slices: 1 })
    await averager.open(0)
    await averager.beginStep(0, RATE)
    const client = connect(averager)
    const whole = { first: 0, count: LEAVES }
    const values = leafGradient(0, 0, SIZE)
    const [first, ...rest] = client.chunks()
    let seen: () => void = () => undefined
    const firstSeen = new Promise<void>((resolve) => {
      seen = resolve
    })
    const fetched = client.weights(1, (_, chunk) => {
      if (chunk === 0) seen()
    })
    if (first !== undefined) await client.send(0, whole, values, first)
    await firstSeen
    for (const address of rest) await client.send(0, whole, values, address)
    expect(await fetched).toHaveLength(SIZE)
  })
})
