import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** Workers come and go, too many and too few, quick and slow: the bits are those of the undisturbed run. */
const MINUTES = 60_000
const STEPS = 40
const WORKER = fileURLToPath(new URL('../../packages/worker/dist/main.js', import.meta.url))

let base: string
let pictures: string
let reference: Trained
let spawned: ChildProcess[] = []

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-elastic-'))
  pictures = await drawFolder(join(base, 'pictures'), 40)
  reference = await trainToEnd(recipe(1), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterEach(() => {
  for (const child of spawned) child.kill('SIGKILL')
  spawned = []
})

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

function recipe(workers: number, limits: { minimum?: number; maximum?: number } = {}): Recipe {
  const made = recipeOf(pictures, { workers, steps: STEPS })
  return { ...made, run: { ...made.run, workers: { ...made.run.workers, ...limits } } }
}

function joinLate(address: string): void {
  spawned.push(
    spawn(process.execPath, [WORKER, '--join', address, '--name', 'late'], { env: computeEnvironment(process.env, 1), stdio: 'ignore' }),
  )
}

const told = (events: readonly TrainEvent[], ...types: TrainEvent['type'][]): TrainEvent[] =>
  events.filter(({ type }) => types.includes(type))

describe('more than the maximum, fewer than the minimum', () => {
  it(
    'the one too many is turned away in words and stays; when another dies the run waits for it, and goes on',
    async () => {
      let address = ''
      const pids: number[] = []
      const trained = await trainToEnd(recipe(2, { minimum: 2, maximum: 2 }), { base: join(base, 'runs') }, (event) => {
        if (event.type === 'started') address = event.address
        if (event.type === 'workerJoined') pids.push(event.pid)
        if (event.type === 'step' && event.step === 3) joinLate(address)
        const [victim] = pids
        if (event.type !== 'workerRefused' || victim === undefined) return
        pids.length = 0
        process.kill(victim, 'SIGKILL')
      })
      const { events } = trained
      const refused = told(events, 'workerRefused')
      expect(refused).toMatchObject([{ name: 'late', reason: expect.stringMatching(/all the 2 workers.*run\.workers\.maximum/) as string }])
      expect(told(events, 'waiting')).toContainEqual({ type: 'waiting', reason: 'waiting for workers: 1 of at least 2 here' })
      const after = events.slice(events.indexOf(refused[0] ?? { type: 'waiting', reason: '' }))
      expect(told(after, 'workerLost', 'waiting', 'workerJoined').map(({ type }) => type)).toEqual([
        'workerLost',
        'waiting',
        'workerJoined',
      ])
      expect(told(after, 'workerJoined')).toMatchObject([{ name: 'late' }])
      expect([...trained.digests]).toEqual([...reference.digests])
    },
    3 * MINUTES,
  )
})

describe('a worker whose core is busy elsewhere', () => {
  it(
    'gets smaller spans within a few steps, and is reported with its figure',
    async () => {
      const level = process.env.LOCKSTEP_LOG_LEVEL
      process.env.LOCKSTEP_LOG_LEVEL = 'debug'
      let cycle: NodeJS.Timeout | undefined
      let victim: { pid: number; worker: string } | undefined
      let other: { pid: number; worker: string } | undefined
      try {
        const trained = await trainToEnd(recipe(2), { base: join(base, 'runs') }, (event) => {
          if (event.type === 'workerJoined') [other, victim] = [victim, event]
          if (event.type !== 'step' || event.step !== 8 || victim === undefined) return
          const { pid } = victim
          // a twentieth of what the other gets, however little a busy machine leaves for both
          cycle = setInterval(() => {
            signal(pid, 'SIGCONT')
            setTimeout(() => {
              signal(pid, 'SIGSTOP')
            }, 10)
          }, 200)
        })
        const leavesOf = async (worker: string, from: number, to: number): Promise<number> => {
          const counts = [...(await spansOf(trained.directory, worker))].filter(([step]) => step >= from && step < to)
          return counts.reduce((sum, [, count]) => sum + count, 0)
        }
        // both computed their part in the same moments, so what else the machine did fell upon both
        const slow = await leavesOf(victim?.worker ?? '', 16, 36)
        expect(slow).toBeLessThanOrEqual((await leavesOf(other?.worker ?? '', 16, 36)) / 2)
        expect(told(trained.events, 'warning')).toContainEqual({
          type: 'warning',
          message: expect.stringMatching(
            /^worker-\d is a straggler: [\d.e+-]+ s a leaf, [\d.]+ times the [\d.e+-]+ s of the others/,
          ) as string,
        })
        expect([...trained.digests]).toEqual([...reference.digests])
      } finally {
        clearInterval(cycle)
        if (victim !== undefined) signal(victim.pid, 'SIGCONT')
        if (level === undefined) delete process.env.LOCKSTEP_LOG_LEVEL
        else process.env.LOCKSTEP_LOG_LEVEL = level
      }
    },
    4 * MINUTES,
  )
})

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // it has ended
  }
}

/** Leaves that a worker was given, by step, as the coordinator's log tells. */
async function spansOf(directory: string, worker: string): Promise<Map<number, number>> {
  const spans = new Map<number, number>()
  for (const line of (await readFile(join(directory, 'logs', 'coordinator.log'), 'utf8')).trim().split('\n')) {
    const entry = JSON.parse(line) as { msg: string; worker?: string; step?: number; count?: number }
    if (entry.msg !== 'span assigned' || entry.worker !== worker || entry.step === undefined) continue
    spans.set(entry.step, (spans.get(entry.step) ?? 0) + (entry.count ?? 0))
  }
  return spans
}
