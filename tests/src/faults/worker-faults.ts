import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive } from '../support/process-facts.js'
import { faultsOf } from '../support/training.js'
import type { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'
import type { Moment } from './moment.js'

const FROZEN_MS = 6_000
const COORDINATOR_FROZEN_MS = 4_000
/** A worker by hand that takes part, as it is called here. */
export const REMOTE = 'remote'

/** One local worker and one by hand. */
async function withRemote(run: DisturbedRun, canHang = false): Promise<void> {
  await run.train(['--workers', '1'])
  await run.join(REMOTE, { canHang })
}

function oneOf(pids: readonly number[], moment: Moment): number {
  const pid = pids[moment.draw(pids.length)]
  assert(pid !== undefined, 'a local worker is there')
  return pid
}

/** The losses that were reported, each as `name: reason`. */
export function losses(run: DisturbedRun): string[] {
  return run.eventsOf('workerLost').map(({ name, reason }) => `${name}: ${reason}`)
}

/** Joined again after a loss and still there a few steps later. */
export async function helpsAgain(run: DisturbedRun, name: string, from: number): Promise<void> {
  await run.event('workerJoined', (event) => event.name === name, from)
  const joinedAt = run.heard.length
  const { step } = await run.event('step', ({ workers }) => workers === 2, joinedAt)
  await run.reached(step + 2)
}

export const WORKER_FAULTS: readonly Fault[] = [
  {
    name: 'worker killed (SIGKILL)',
    quick: true,
    length: 'short',
    disturb: async (run, moment) => {
      process.kill(oneOf(run.localWorkers, moment), 'SIGKILL')
      const { reason } = await run.event('workerLost', () => true, 0)
      return reason
    },
    expected: (run) => {
      assert.equal(losses(run).length, 1)
      assert.equal(run.summary.faults.workerLost, 1)
    },
  },
  {
    name: 'worker frozen (SIGSTOP, SIGCONT after 6 s)',
    quick: true,
    length: 'long',
    disturb: async (run, moment) => {
      const pid = oneOf(run.localWorkers, moment)
      const from = run.heard.length
      process.kill(pid, 'SIGSTOP')
      await sleep(FROZEN_MS)
      process.kill(pid, 'SIGCONT')
      const lost = await run.event('workerLost', () => true, from)
      await helpsAgain(run, lost.name, from)
      return 'lost by silence, joined again'
    },
    expected: (run) => {
      assert.match(losses(run).join(), /^worker-\d: silent for 3\.\d s$/)
    },
  },
  {
    name: "worker's computing thread hangs",
    quick: false,
    length: 'long',
    start: async (run) => {
      await withRemote(run, true)
    },
    disturb: async (run) => {
      const from = run.heard.length
      run.remotes[0]?.signal('SIGUSR2')
      const { name } = await run.event('workerLost', () => true, from)
      assert.equal(name, REMOTE)
      const code = await Promise.race([run.remotes[0]?.ended, sleep(30_000, 'alive')])
      return code === 'alive' ? 'lost; its process stays' : 'lost at its deadline; its process ended'
    },
    expected: (run) => {
      assert.match(losses(run).join(), /^remote: no progress for 5\.\d s with work in hand$/)
      assert(run.remotes[0]?.hasEnded, 'a worker that can never compute again does not stay')
      assert.match(run.remotes[0].output, /computing thread has not answered/)
    },
  },
  {
    name: 'worker joins in the middle',
    quick: true,
    length: 'long',
    start: async (run) => {
      await run.train(['--workers', '1'])
    },
    disturb: async (run) => {
      await run.join(REMOTE)
      await run.event('step', ({ workers }) => workers === 2)
      return ''
    },
    expected: (run) => {
      assert.deepEqual([losses(run), run.summary.workers], [[], 2])
    },
  },
  {
    name: 'worker leaves politely (SIGTERM)',
    quick: true,
    length: 'long',
    start: async (run) => {
      await withRemote(run)
    },
    disturb: async (run) => {
      run.remotes[0]?.signal('SIGTERM')
      await run.event('workerLeft', ({ name }) => name === REMOTE)
      assert.equal(await run.remotes[0]?.ended, 143)
      return ''
    },
    expected: (run) => {
      assert.deepEqual([losses(run), faultsOf(run.summary)], [[], {}])
    },
  },
  {
    name: 'coordinator frozen for 4 s (nobody else is to blame)',
    quick: false,
    length: 'short',
    disturb: async (run) => {
      run.signal('SIGSTOP')
      await sleep(COORDINATOR_FROZEN_MS)
      run.signal('SIGCONT')
      return ''
    },
    expected: (run) => {
      assert.deepEqual(losses(run), [])
    },
  },
  {
    name: 'all workers but one killed, one after the other',
    quick: false,
    length: 'short',
    start: async (run) => {
      await run.train(['--workers', '3'])
      await run.until('three workers', () => (run.localWorkers.length === 3 ? true : undefined))
    },
    disturb: async (run, moment) => {
      for (const round of [1, 2]) {
        process.kill(oneOf(run.localWorkers, moment), 'SIGKILL')
        await run.until('the loss', () => (losses(run).length === round ? true : undefined))
        await sleep(moment.draw(300))
      }
      return ''
    },
    expected: (run) => {
      assert.equal(run.summary.faults.workerLost, 2)
      assert.equal(run.localWorkers.filter(isAlive).length, 0, 'no worker outlives the run')
    },
  },
]
