import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verify } from '@lockstep/coordinator/verification/verify.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** Gradients and weights as bfloat16: half the bytes, one result a split, and a loss that falls as it does in float32. */
const MINUTES = 60_000
const STEPS = 24
const LEAVES = 8

let base: string
let pictures: string
let wide: Trained
let narrow: Trained

function recipe(precision: 'float32' | 'bfloat16', sharedMemory: 'auto' | 'off' = 'auto'): Recipe {
  return recipeOf(pictures, {
    ...{ exact: precision === 'float32', steps: STEPS, evaluation: { everySteps: STEPS, batch: 16 } },
    learningRate: { initial: 0.02, schedule: { type: 'constant' } },
    run: {
      ...{ workers: { count: 2, minimum: 2 }, exchange: { precision, sharedMemory }, trace: { detail: 'off' } },
      checkpoint: { everySteps: 1000, digestEverySteps: 1 },
    },
  })
}

async function trained(precision: 'float32' | 'bfloat16', sharedMemory?: 'off'): Promise<Trained> {
  return await trainToEnd(recipe(precision, sharedMemory), { base: join(base, 'runs') })
}

/** What the workers of a run told of bytes at the end of every membership. */
async function bytesOf(directory: string): Promise<{ sent: number; received: number }> {
  const names = (await readdir(join(directory, 'logs'))).filter((name) => name.startsWith('worker-'))
  const total = { sent: 0, received: 0 }
  for (const name of names) {
    const lines = (await readFile(join(directory, 'logs', name), 'utf8'))
      .split('\n')
      .filter((line) => line.includes('the work of this membership is over'))
    for (const line of lines) {
      const told = JSON.parse(line) as { bytesAcknowledged: number; bytesReceived: number }
      total.sent += told.bytesAcknowledged
      total.received += told.bytesReceived
    }
  }
  return total
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-narrow-'))
  pictures = await drawFolder(join(base, 'pictures'), 20)
  wide = await trained('float32')
  narrow = await trained('bfloat16')
}, 10 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('an exchange in bfloat16', () => {
  it('halves the bytes, both ways', async () => {
    const started = wide.events.find((event) => event.type === 'started')
    const parameters = started?.type === 'started' ? started.parameters : 0
    // in whole vectors of 4 and of 2 bytes an element: each worker receives one a step, and a few where it had to begin again. It sends one a
    // node: bfloat16 has equal spans, so a node each; float32's follow speed, and a span may be as many nodes as leaves
    const runs = [
      { run: wide, elementBytes: 4, mostSent: LEAVES * STEPS },
      { run: narrow, elementBytes: 2, mostSent: 3 * STEPS },
    ]
    for (const { run, elementBytes, mostSent } of runs) {
      const { sent, received } = await bytesOf(run.directory)
      const vectors = { sent: sent / (parameters * elementBytes), received: received / (parameters * elementBytes) }
      for (const [way, most] of [['sent', mostSent] as const, ['received', 3 * STEPS] as const]) {
        expect(Number.isInteger(vectors[way]), way).toBe(true)
        expect(vectors[way], way).toBeGreaterThanOrEqual(2 * STEPS)
        expect(vectors[way], way).toBeLessThanOrEqual(most)
      }
    }
  })

  it(
    'gives the same bits again with the same workers, through memory and inline',
    async () => {
      const again = await trained('bfloat16', 'off')
      expect([...again.digests]).toEqual([...narrow.digests])
      expect(again.losses).toEqual(narrow.losses)
      expect(new Set(again.digests.values()).size).toBe(STEPS)
      expect(narrow.digests.get(1)).not.toBe(wide.digests.get(1))
    },
    6 * MINUTES,
  )

  it('trains to the loss of float32', () => {
    const [first, last] = [meanOf(wide.losses.slice(0, 4)), meanOf(wide.losses.slice(-8))]
    expect(last).toBeLessThan(0.8 * first)
    expect(Math.abs(meanOf(narrow.losses.slice(-8)) - last)).toBeLessThan(0.15 * last)
  })

  it('is said in the summary, and cannot be verified', async () => {
    expect(wide.summary).toMatchObject({ exact: true })
    expect(narrow.summary).toMatchObject({ exact: false, inexact: expect.stringMatching(/bfloat16/) as string })
    const events = verify(narrow.directory, {})
    await expect(events.next()).rejects.toThrow(/cannot be verified: run.exchange.precision/)
  })
})
