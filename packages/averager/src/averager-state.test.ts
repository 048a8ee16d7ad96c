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
