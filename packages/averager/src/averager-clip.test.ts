import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { CHUNK_FLOATS, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { Averager } from './averager.js'
import { ContributionClient } from './contribution-client.js'
import { leafGradient, nodeGradient, referenceUpdate } from './reference-step.js'

/** Four chunks: parameters end within the third, batch statistics fill the rest. */
const SIZE = 3 * CHUNK_FLOATS + 1003
const PARAMETERS = 2 * CHUNK_FLOATS + 7
const layout: ParameterLayout = {
  size: SIZE,
  entries: [
    { name: 'conv/kernel', shape: [PARAMETERS - 5], offset: 0, size: PARAMETERS - 5, kind: 'kernel' },
    { name: 'conv/bias', shape: [5], offset: PARAMETERS - 5, size: 5, kind: 'bias' },
    { name: 'bn/moving_mean', shape: [SIZE - PARAMETERS], offset: PARAMETERS, size: SIZE - PARAMETERS, kind: 'movingMean' },
  ],
}
const optimizer = { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' } as const
const sender = { run: 'run-1', term: 1 }
const LEAVES = 2
const RATE = 0.01
const WHOLE = { first: 0, count: LEAVES }

const closers: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(
  clipNorm: number | undefined,
  slices = 2,
  nesterov = false,
): Promise<{ averager: Averager; client: ContributionClient }> {
  const averager = await Averager.start({
    ...{ ...sender, layout, leaves: LEAVES, microBatches: LEAVES, slices, host: '127.0.0.1', insecureNetwork: false },
    optimizer: { ...optimizer, nesterov, ...(clipNorm === undefined ? {} : { clipNorm }) },
  })
  const client = new ContributionClient(averager.addresses, SIZE, sender)
  closers.push(
    () => averager.close(),
    () => {
      client.close()
    },
  )
  averager.write('weights', 0, leafGradient(1000, 0, SIZE))
  await averager.open(0)
  return { averager, client }
}

async function step(averager: Averager, client: ContributionClient, number: number, values: Float32Array): Promise<unknown> {
  const reduced = once(averager, 'reduced')
  await averager.beginStep(number, RATE)
  await client.sendNode(number, WHOLE, values)
  return (await reduced)[0]
}

/** Σ g² chunk by chunk as docs/numerics.md has it, in plain JavaScript. */
function normOf(gradient: Float32Array): number {
  let total = 0
  for (let first = 0; first < PARAMETERS; first += CHUNK_FLOATS) {
    const sums: [number, number, number, number] = [0, 0, 0, 0]
    gradient.subarray(first, Math.min(PARAMETERS, first + CHUNK_FLOATS)).forEach((value, i) => (sums[(i % 4) as 0] += value * value))
    total += sums[0] + sums[1] + (sums[2] + sums[3])
  }
  return Math.sqrt(total)
}

/** Weights and velocity after steps with these gradients, by the letter of the definition. */
function expected(
  clipNorm: number,
  gradients: readonly Float32Array[],
  nesterov = false,
): { weights: Float32Array; velocity: Float32Array } {
  const weights = leafGradient(1000, 0, SIZE)
  const velocity = new Float32Array(SIZE)
  for (const gradient of gradients) {
    const factor = Math.fround(Math.min(1, clipNorm / normOf(gradient)))
    const parameters = weights.subarray(0, PARAMETERS)
    const scaled = gradient.slice(0, PARAMETERS).map((value) => Math.fround(factor * value))
    const decayOf = (index: number): number => (index < PARAMETERS - 5 ? optimizer.weightDecay : 0)
    referenceUpdate(parameters, velocity.subarray(0, PARAMETERS), scaled, { momentum: optimizer.momentum, rate: RATE, decayOf, nesterov })
    for (let i = PARAMETERS; i < SIZE; i++) weights[i] = Math.fround((gradient[i] ?? 0) / LEAVES)
  }
  return { weights, velocity }
}

function expectSame(averager: Averager, { weights, velocity }: { weights: Float32Array; velocity: Float32Array }): void {
  expect(Buffer.from(averager.read('weights', 0, SIZE).buffer).equals(Buffer.from(weights.buffer))).toBe(true)
  expect(Buffer.from(averager.read('velocity', 0, SIZE).buffer).equals(Buffer.from(velocity.buffer))).toBe(true)
}

const gradients = [0, 1].map((number) => nodeGradient(number, WHOLE, SIZE))

describe('clipping by the norm', () => {
  it.each([
    [1, false],
    [2, false],
    [4, true],
  ])('gives the bits of its definition in %i slices, Nesterov %j, and leaves batch statistics alone', async (slices, nesterov) => {
    // above the one norm and below the other
    const [small, large] = gradients.map(normOf).sort((a, b) => a - b) as [number, number]
    expect(small).toBeLessThan(large)
    for (const clipNorm of [(small + large) / 2, 1e-3 * small]) {
      const { averager, client } = await start(clipNorm, slices, nesterov)
      for (const [number, gradient] of gradients.entries()) {
        const fetched = client.weights(number + 1)
        expect(await step(averager, client, number, gradient)).toMatchObject({ finite: true })
        await averager.commit(number + 1)
        expect(Buffer.from((await fetched).buffer).equals(Buffer.from(averager.read('weights', 0, SIZE).buffer))).toBe(true)
      }
      expectSame(averager, expected(clipNorm, gradients, nesterov))
    }
  })

  it('changes no bit where no norm is above the limit', async () => {
    const digests: unknown[] = []
    for (const clipNorm of [undefined, 1e9]) {
      const { averager, client } = await start(clipNorm)
      for (const [number, gradient] of gradients.entries()) {
        await step(averager, client, number, gradient)
        await averager.commit(number + 1)
      }
      digests.push(await averager.digest(2, Buffer.alloc(0)))
    }
    expect(digests[1]).toEqual(digests[0])
  })

  it('meets a gradient that is not finite as without it: named, dropped, left out, and the next step is what it would be', async () => {
    const { averager, client } = await start(0.5)
    const poison = gradients[0]?.slice() ?? new Float32Array()
    poison[11] = Infinity
    expect(await step(averager, client, 0, poison)).toMatchObject({ finite: false, nonFiniteParameter: 'conv/kernel' })
    await averager.drop(1)
    await averager.skip(1)
    expect(await step(averager, client, 1, gradients[1] ?? new Float32Array())).toMatchObject({ finite: true })
    await averager.commit(2)
    expectSame(averager, expected(0.5, gradients.slice(1)))
  })

  it('forgets what was gathered of a step that is dropped before it is whole', async () => {
    const { averager, client } = await start(0.5)
    await averager.beginStep(0, RATE)
    await client.sendNode(0, { first: 0, count: 1 }, leafGradient(5, 5, SIZE))
    // the first slice whole, the second not
    const firstSlice = client.chunks().filter(({ slice }) => slice.index === 0)
    for (const address of firstSlice) await client.send(0, WHOLE, gradients[1] ?? new Float32Array(), address)
    await client.outcomes(client.chunks().length + firstSlice.length)
    await averager.drop(1)
    await step(averager, client, 0, gradients[0] ?? new Float32Array())
    await averager.commit(1)
    expectSame(averager, expected(0.5, gradients.slice(0, 1)))
  })
})
