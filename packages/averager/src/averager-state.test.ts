import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openCheckpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import type { UnsealedMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'
import { Averager } from './averager.js'
import { ContributionClient } from './contribution-client.js'
import { leafGradient } from './reference-step.js'

const SIZE = 600_001
const layout: ParameterLayout = {
  size: SIZE,
  entries: [
    { name: 'fc/kernel', shape: [SIZE - 1], offset: 0, size: SIZE - 1, kind: 'kernel' },
    { name: 'fc/bias', shape: [1], offset: SIZE - 1, size: 1, kind: 'bias' },
  ],
}
const optimizer = { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' } as const
const sender = { run: 'run-1', term: 1 }
const suffix = Buffer.from('{"nextStep":2}')
const metadata = (step: number): UnsealedMetadata => ({
  format: 1,
  step,
  run: 'run-1',
  seed: 1,
  recipe: recipeSchema.parse({ name: 'x', model: { name: 'vgg-a' }, data: { train: '/data' }, steps: 10 }),
  network: { name: 'vgg-a', inputShape: [32, 32, 3], classes: 2, layers: [] },
  preprocessing: {},
  schedule: null,
  fingerprint: '',
  dataDigest: '',
  recipeDigest: '',
})

let directory: string
let averager: Averager
let client: ContributionClient
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-averager-'))
  averager = await Averager.start({
    ...sender,
    layout,
    leaves: 2,
    microBatches: 2,
    optimizer,
    slices: 2,
    host: '127.0.0.1',
    insecureNetwork: false,
  })
  client = new ContributionClient(averager.addresses, SIZE, sender)
})
afterEach(async () => {
  client.close()
  await averager.close()
  rmSync(directory, { recursive: true })
})

const values = [leafGradient(0, 0, SIZE), leafGradient(0, 1, SIZE)] as const

async function step(number: number, rate = 0.01): Promise<void> {
  const reduced = once(averager, 'reduced')
  await averager.beginStep(number, rate)
  for (const [first, leaf] of values.entries()) await client.sendNode(number, { first, count: 1 }, leaf)
  await reduced
  await averager.commit(number + 1)
}

const sha256 = (...parts: Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')
const bytesOf = (floats: Float32Array): Uint8Array => new Uint8Array(floats.buffer)

describe('batch statistics', () => {
  const KERNEL = 300_000
  const normalized: ParameterLayout = {
    size: SIZE,
    entries: [
      { name: 'conv/kernel', shape: [KERNEL], offset: 0, size: KERNEL, kind: 'kernel' },
      { name: 'bn/moving_mean', shape: [SIZE - KERNEL], offset: KERNEL, size: SIZE - KERNEL, kind: 'movingMean' },
    ],
  }

  beforeEach(async () => {
    client.close()
    await averager.close()
    const options = { ...sender, layout: normalized, leaves: 2, microBatches: 6, optimizer, slices: 2 }
    averager = await Averager.start({ ...options, host: '127.0.0.1', insecureNetwork: false })
    client = new ContributionClient(averager.addresses, SIZE, sender)
  })

  const isSame = (left: Float32Array, right: Float32Array): boolean => Buffer.from(left.buffer).equals(Buffer.from(right.buffer))
  const statistics = (): Float32Array => averager.read('weights', KERNEL, SIZE - KERNEL)

  it('become the mean over the micro-batches of a step, without velocity, and are in both digests', async () => {
    averager.write('weights', 0, leafGradient(9, 9, SIZE))
    await averager.open(0)
    await step(0)
    await step(1)
    const expected = values[0].map((value, i) => Math.fround(Math.fround(value + (values[1][i] ?? 0)) / 6)).slice(KERNEL)
    expect(isSame(statistics(), expected)).toBe(true)
    expect(averager.read('velocity', KERNEL, SIZE - KERNEL).every((velocity) => Object.is(velocity, 0))).toBe(true)
    const weights = averager.read('weights', 0, SIZE)
    expect(isSame(weights.slice(0, KERNEL), leafGradient(9, 9, SIZE).slice(0, KERNEL))).toBe(false)
    const velocity = averager.read('velocity', 0, KERNEL)
    const digests = { weightsDigest: sha256(bytesOf(weights)), stateDigest: sha256(bytesOf(weights), bytesOf(velocity), suffix) }
    expect(await averager.digest(2, suffix)).toEqual(digests)
    const path = join(directory, 'step-2.safetensors')
    expect(await averager.writeCheckpoint(path, metadata(2), suffix)).toMatchObject(digests)
    const checkpoint = await openCheckpoint(path)
    await checkpoint.verify()
    expect([...checkpoint.tensors.keys()]).toEqual(['conv/kernel', 'bn/moving_mean', 'velocity/conv/kernel'])
    expect(isSame(await checkpoint.read('bn/moving_mean'), expected)).toBe(true)
    await checkpoint.close()
  })

  it('stay as they are when a step is dropped or left out, and are named when they are not finite', async () => {
    const first = leafGradient(9, 9, SIZE)
    averager.write('weights', 0, first)
    await averager.open(0)
    const reduced = once(averager, 'reduced')
    await averager.beginStep(0, 0.01)
    await client.sendNode(0, { first: 0, count: 1 }, values[0])
    await client.sendNode(
      0,
      { first: 1, count: 1 },
      values[1].map((value, i) => (i === SIZE - 1 ? Infinity : value)),
    )
    expect((await reduced)[0]).toMatchObject({ finite: false, nonFiniteParameter: 'bn/moving_mean' })
    await averager.drop(1)
    await averager.skip(1)
    expect(isSame(averager.read('weights', 0, SIZE), first)).toBe(true)
    await step(1)
    expect(isSame(statistics(), first.slice(KERNEL))).toBe(false)
  })
})

describe('digests and checkpoints of the averager', () => {
  it('hash the committed version, in layout order over the slices', async () => {
    averager.write('weights', 0, leafGradient(9, 9, SIZE))
    averager.write('velocity', 0, leafGradient(9, 8, SIZE))
    await averager.open(4)
    const [weights, velocity] = [leafGradient(9, 9, SIZE), leafGradient(9, 8, SIZE)]
    expect(await averager.digest(4, suffix)).toEqual({
      weightsDigest: sha256(bytesOf(weights)),
      stateDigest: sha256(bytesOf(weights), bytesOf(velocity), suffix),
    })
    await step(4)
    const digests = await averager.digest(5, suffix)
    expect(digests.weightsDigest).toBe(sha256(bytesOf(averager.read('weights', 0, SIZE))))
    expect(digests.stateDigest).toBe(
      sha256(bytesOf(averager.read('weights', 0, SIZE)), bytesOf(averager.read('velocity', 0, SIZE)), suffix),
    )
  })

  it('keep the version of the call while the next steps overwrite its buffers', async () => {
    averager.write('weights', 0, leafGradient(9, 9, SIZE))
    await averager.open(0)
    await step(0)
    for (let version = 1; version < 13; version += 3) {
      const weights = averager.read('weights', 0, SIZE)
      const velocity = averager.read('velocity', 0, SIZE)
      const path = join(directory, `step-${String(version)}.safetensors`)
      const writing = averager.writeCheckpoint(path, metadata(version), suffix)
      await step(version)
      await step(version + 1) // writes into the pinned buffers
      await step(version + 2)
      const written = await writing
      expect(written.stateDigest).toBe(sha256(bytesOf(weights), bytesOf(velocity), suffix))
      const checkpoint = await openCheckpoint(path)
      await checkpoint.verify()
      expect(checkpoint.metadata).toMatchObject({ step: version, stateDigest: written.stateDigest })
      await checkpoint.close()
    }
  })

  it('have the slices wait with a pinned buffer, in which nothing changes, and go on where they were', async () => {
    averager.write('weights', 0, leafGradient(9, 9, SIZE))
    await averager.open(0)
    // two in line: the second holds its pin while the first is served
    const paths = ['a', 'b', 'c'].map((name) => join(directory, `${name}.safetensors`))
    const writing = paths.map((path) => averager.writeCheckpoint(path, metadata(0), suffix))
    await step(0)
    await step(1)
    const digests = await Promise.all(writing)
    expect(new Set(digests.map(({ stateDigest }) => stateDigest))).toEqual(
      new Set([sha256(bytesOf(leafGradient(9, 9, SIZE)), new Uint8Array(4 * SIZE), suffix)]),
    )
    const [pinned, free] = [await averager.digest(2, suffix), averager]
    await averager.close()
    averager = await Averager.start({
      ...sender,
      layout,
      leaves: 2,
      microBatches: 2,
      optimizer,
      slices: 1,
      host: '127.0.0.1',
      insecureNetwork: false,
    })
    client.close()
    client = new ContributionClient(averager.addresses, SIZE, sender)
    averager.write('weights', 0, leafGradient(9, 9, SIZE))
    await averager.open(0)
    await step(0)
    await step(1)
    expect(await averager.digest(2, suffix)).toEqual(pinned)
    expect(free.counters()).toMatchObject({ ACCEPTED: 12 })
  })

  it('finish before the averager closes, and name what the disk refuses while training goes on', async () => {
    await averager.open(0)
    const refused = averager.writeCheckpoint(join(directory, 'gone', 'x.safetensors'), metadata(0), suffix)
    await expect(refused).rejects.toMatchObject({ name: 'TrainError', code: 'DISK' })
    await step(0)
    const path = join(directory, 'last.safetensors')
    const writing = averager.writeCheckpoint(path, metadata(1), suffix)
    await Promise.all([writing, averager.close()])
    expect(readdirSync(directory)).toEqual(['last.safetensors'])
    const checkpoint = await openCheckpoint(path)
    await checkpoint.verify()
    await checkpoint.close()
  })
})

describe('memory of the averager', () => {
  it('is steady over 200 steps', async () => {
    await averager.open(0)
    const sizes: number[] = []
    for (let number = 0; number < 200; number++) {
      await step(number, 1e-6)
      if (number % 10 === 9) sizes.push(process.memoryUsage().rss)
    }
    const [early, late] = [sizes.slice(5, 10), sizes.slice(15)].map((part) => Math.max(...part))
    // one copy of the vector a step would be 480 MB
    expect((late ?? 0) - (early ?? 0)).toBeLessThan(64 * 2 ** 20)
  })
})
