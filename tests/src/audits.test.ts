import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditedLeaves } from '@lockstep/shared/reduction/audited-leaves.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { faultsOf, recipeOf, trainToEnd, type Trained } from './support/training.js'

/**
 * Audits with real processes, queue, averaging service and TensorFlow: they change no bit, whoever is killed meanwhile, and
 * a worker that flips a single one is found, kept out, and leaves no trace in the result.
 */
const MINUTES = 60_000
const STEPS = 12
const LEAVES = 8
const SEED = 1
const LIAR = 'worker-2'

let base: string
let pictures: string
let reference: Trained

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-audits-'))
  pictures = await drawFolder(join(base, 'pictures'), 40)
  reference = await trained(1, 0)
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

function recipe(workers: number, share: number): Recipe {
  return recipeOf(pictures, { workers, seed: SEED, steps: STEPS, evaluation: { everySteps: 6, batch: 16 }, audit: { share } })
}

async function trained(workers: number, share: number): Promise<Trained> {
  return await trainToEnd(recipe(workers, share), { base: join(base, 'runs') })
}

/** The state of every step, and the state at the end. */
function proof({ digests, summary }: Trained): unknown {
  return { steps: [...digests], end: summary.stateDigest, weights: summary.weightsDigest, top1: summary.top1 }
}

function auditsOf(share: number, steps = STEPS): number {
  return Array.from({ length: steps }, (_, step) => auditedLeaves(SEED, share, step, LEAVES).length).reduce((sum, count) => sum + count, 0)
}

describe('audits of honest workers', () => {
  it(
    'compare the leaves that seed and share name and change no bit',
    async () => {
      const audited = await trained(2, 0.25)
      expect(proof(audited)).toEqual(proof(reference))
      expect(new Set(audited.digests.values()).size).toBe(STEPS)
      expect(auditsOf(0.25)).toBeGreaterThan(STEPS)
      expect(audited.summary).toMatchObject({ audits: auditsOf(0.25), faults: {}, exact: true })
      expect(reference.summary.audits).toBe(0)
    },
    3 * MINUTES,
  )

  it(
    'of every leaf go on, and change no bit, when one of three is killed',
    async () => {
      const everything = recipe(3, 1)
      everything.run.workers.minimum = 2
      let victim: number | undefined
      const audited = await trainToEnd(everything, { base: join(base, 'runs') }, (event) => {
        if (event.type === 'workerJoined') victim ??= event.pid
        if (event.type !== 'step' || event.step < 4 || victim === undefined || victim === 0) return
        process.kill(victim, 'SIGKILL')
        victim = 0
      })
      expect(proof(audited)).toEqual(proof(reference))
      expect(audited.summary).toMatchObject({ audits: STEPS * LEAVES, faults: { workerLost: 1 } })
    },
    3 * MINUTES,
  )

  it(
    'are left out with one worker, which is said once',
    async () => {
      const alone = await trained(1, 0.25)
      expect(proof(alone)).toEqual(proof(reference))
      expect(alone.summary.audits).toBe(0)
      expect(alone.events.filter((event) => event.type === 'warning' && event.message.includes('cannot be compared')).length).toBe(1)
    },
    3 * MINUTES,
  )
})

describe('a worker that flips one bit of an audited leaf', () => {
  const share = 0.25
  const step = [3, 4, 5, 6, 7].find((candidate) => auditedLeaves(SEED, share, candidate, LEAVES).length > 0) ?? 3
  const [leaf = 0] = auditedLeaves(SEED, share, step, LEAVES)
  const before = { options: process.env.NODE_OPTIONS, liar: process.env.LOCKSTEP_TEST_LIAR }

  afterEach(() => {
    restore('NODE_OPTIONS', before.options)
    restore('LOCKSTEP_TEST_LIAR', before.liar)
  })

  it(
    'is found by a referee, killed, and the result is the honest one',
    async () => {
      // inherited by the workers that the run starts
      process.env.NODE_OPTIONS = `--import=${new URL('support/lying-worker.js', import.meta.url).href}`
      process.env.LOCKSTEP_TEST_LIAR = `${LIAR}:${String(step)}:${String(leaf)}:1`
      const caught = await trained(2, share)
      const { events, summary } = caught
      const joined = events.flatMap((event) => (event.type === 'workerJoined' ? [event] : []))
      expect(joined.map(({ name }) => name)).toContain('referee-1')
      const differs = events.find((event) => event.type === 'auditDiffers')
      expect(differs).toMatchObject({ step: step + 1, leaf })
      expect([...(differs?.names ?? [])].sort()).toEqual(['worker-1', LIAR])
      const quarantined = events.filter((event) => event.type === 'workerQuarantined')
      expect(quarantined).toMatchObject([{ name: LIAR, step: step + 1, leaf }])
      expect(() => process.kill(quarantined[0]?.pid ?? 0, 0)).toThrow('ESRCH')
      expect(events.filter(({ type }) => type === 'workerLost')).toEqual([])
      expect(proof(caught)).toEqual(proof(reference))
      expect(faultsOf(summary)).toEqual({ auditDiffers: 1, workerQuarantined: 1 })
      // the step whose audit failed was audited again
      expect(summary.audits).toBeGreaterThan(auditsOf(share))
    },
    4 * MINUTES,
  )

  it(
    'spoils the result when nothing is audited: the lie is a real one',
    async () => {
      process.env.NODE_OPTIONS = `--import=${new URL('support/lying-worker.js', import.meta.url).href}`
      process.env.LOCKSTEP_TEST_LIAR = `worker-1:4:0:8`
      const spoiled = await trained(1, 0)
      expect(spoiled.digests.get(4)).toBe(reference.digests.get(4))
      expect(spoiled.digests.get(5)).not.toBe(reference.digests.get(5))
      expect(spoiled.summary.stateDigest).not.toBe(reference.summary.stateDigest)
    },
    4 * MINUTES,
  )
})

function restore(name: string, value: string | undefined): void {
  if (value === undefined) Reflect.deleteProperty(process.env, name)
  else process.env[name] = value
}
