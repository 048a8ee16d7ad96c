import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TraceEvent } from '@lockstep/coordinator/trace/trace-events.js'
import { slicesOf } from '@lockstep/shared/parameters/layout.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { killingOneWorkerAt } from './support/killed-worker.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/**
 * The claim of the project: one bit pattern, whatever the number of workers and whoever dies. Real processes, queue,
 * averaging service and TensorFlow; eight leaves a step, dropout 0.5, all augmentations, 40 steps with an evaluation and
 * a drop of the learning rate in the middle.
 */
const MINUTES = 60_000

let base: string
let pictures: string
let reference: Trained

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-exact-'))
  pictures = await drawFolder(join(base, 'pictures'), 40)
  reference = await trainToEnd(recipeOf(pictures, { workers: 1 }), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

/** The state of every step, and the state at the end. */
function proof(trained: Trained): unknown {
  return {
    steps: [...trained.digests],
    end: trained.summary.stateDigest,
    weights: trained.summary.weightsDigest,
    top1: trained.summary.top1,
  }
}

/** How many versions the workers received, by the run's trace, and which of them before the commit. */
async function receivedWeights(directory: string): Promise<{ readonly received: number; readonly early: readonly string[] }> {
  const { traceEvents } = JSON.parse(await readFile(join(directory, 'trace.json'), 'utf8')) as { traceEvents: TraceEvent[] }
  const commits = traceEvents.flatMap(({ cat, name, ts }) =>
    cat === 'commit' ? [[name.replace('commit of version', 'weights'), ts] as const] : [],
  )
  const committedAt = new Map(commits)
  const received = traceEvents.filter(({ cat, name }) => cat === 'receive' && committedAt.has(name))
  return {
    received: received.length,
    early: received.filter(({ name, ts = 0 }) => ts < (committedAt.get(name) ?? 0)).map(({ name }) => name),
  }
}

describe('the reference itself proves something', () => {
  it('has finite, falling losses and learns', () => {
    const { losses, summary } = reference
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(losses.length).toBe(40)
    expect(losses.every(Number.isFinite)).toBe(true)
    expect(mean(losses.slice(-10))).toBeLessThan(mean(losses.slice(0, 10)) * 0.9)
    expect(summary.top1).toBeGreaterThan(0.5)
  })

  it('changes its state at every step, evaluates twice and drops the rate in the middle', () => {
    expect(new Set(reference.digests.values()).size).toBe(40)
    expect(reference.events.filter(({ type }) => type === 'evaluation').length).toBe(2)
    expect(reference.events.find(({ type }) => type === 'learningRateDropped')).toMatchObject({ step: 20, from: 0.02 })
  })

  it(
    'is another one with another seed',
    async () => {
      const other = await trainToEnd(recipeOf(pictures, { seed: 2, steps: 3 }), { base: join(base, 'runs') })
      expect(other.digests.get(1)).not.toBe(reference.digests.get(1))
      expect(other.digests.get(3)).not.toBe(reference.digests.get(3))
    },
    2 * MINUTES,
  )
})

describe('the same bits', () => {
  it.each([1, 2, 3, 5])(
    'with %i workers, in a run of its own',
    async (workers) => {
      const trained = await trainToEnd(recipeOf(pictures, { workers }), { base: join(base, 'runs') })
      expect(trained.summary.workers).toBe(workers)
      expect(proof(trained)).toEqual(proof(reference))
    },
    3 * MINUTES,
  )

  it(
    'when one of two workers is killed with SIGKILL',
    async () => {
      const recipe = recipeOf(pictures, { workers: 2 })
      recipe.run.workers.minimum = 1
      const trained = await trainToEnd(recipe, { base: join(base, 'runs') }, killingOneWorkerAt(10))
      expect(trained.events.filter(({ type }) => type === 'workerLost').length).toBe(1)
      expect(trained.summary.faults).toMatchObject({ workerLost: 1 })
      expect(proof(trained)).toEqual(proof(reference))
    },
    3 * MINUTES,
  )

  it(
    'with every body inline instead of through memory that both sides see',
    async () => {
      const recipe = recipeOf(pictures, { workers: 2 })
      const exchange = { ...recipe.run.exchange, sharedMemory: 'off' as const }
      const trained = await trainToEnd({ ...recipe, run: { ...recipe.run, exchange } }, { base: join(base, 'runs') })
      expect(proof(trained)).toEqual(proof(reference))
    },
    3 * MINUTES,
  )

  it(
    'with no weights asked for before their commit',
    async () => {
      const recipe = recipeOf(pictures, { workers: 2 })
      const exchange = { ...recipe.run.exchange, overlap: false }
      const trained = await trainToEnd({ ...recipe, run: { ...recipe.run, exchange } }, { base: join(base, 'runs') })
      expect(proof(trained)).toEqual(proof(reference))
      const { received, early } = await receivedWeights(trained.directory)
      expect(received).toBeGreaterThan(40)
      expect(early).toEqual([])
    },
    3 * MINUTES,
  )

  it(
    'with the averager in one, two and four slices',
    async () => {
      // slices are cut at whole chunks: the network has to be long enough for four of them
      const model = { name: 'vgg-a' as const, width: 0.125, inputSize: 32, fullyConnected: [4096, 256], dropout: 0.5 }
      const proofs: unknown[] = []
      for (const slices of [1, 2, 4]) {
        const recipe = recipeOf(pictures, { model, steps: 8, workers: 2, learningRate: { initial: 0.02 } })
        const trained = await trainToEnd({ ...recipe, run: { ...recipe.run, averager: { slices } } }, { base: join(base, 'runs') })
        const started = trained.events.find(({ type }) => type === 'started')
        expect(slicesOf(started?.type === 'started' ? started.parameters : 0, slices)).toHaveLength(slices)
        expect(new Set(trained.digests.values()).size).toBe(8)
        proofs.push(proof(trained))
      }
      expect(proofs[1]).toEqual(proofs[0])
      expect(proofs[2]).toEqual(proofs[0])
    },
    3 * MINUTES,
  )
})
