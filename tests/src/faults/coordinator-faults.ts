import assert from 'node:assert/strict'
import { watch } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from '../support/command.js'
import { descendantsOf, isAlive } from '../support/process-facts.js'
import { faultsOf } from '../support/training.js'
import type { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'
import type { Moment } from './moment.js'
import { REMOTE } from './worker-faults.js'

/** Kills of the coordinator and harm to what it left on disk; each goes on with `lockstep resume`. */

const CHILDREN_END_MS = 10_000
/** Checkpoints often, so that a kill is soon after one. */
const OFTEN = ['--set', 'run.checkpoint.everySteps=3']

/** SIGKILL to the coordinator; what it started must end by itself. */
async function kill(run: DisturbedRun): Promise<void> {
  const children = descendantsOf(run.coordinatorPid)
  assert(children.length >= 2, 'workers and queue run')
  run.signal('SIGKILL')
  await run.end()
  const deadlineMs = performance.now() + CHILDREN_END_MS
  while (children.some(isAlive)) {
    assert(performance.now() < deadlineMs, 'workers and queue end with their coordinator')
    await sleep(50)
  }
}

/** Goes on with another number of workers than two. The clock of the pause starts here. @returns seconds to the next commit */
async function resumeElsewhere(run: DisturbedRun, moment: Moment, words: readonly string[] = []): Promise<string> {
  const workers = [1, 3][moment.draw(2)] ?? 1
  run.struckMs = performance.now()
  const from = run.heard.length
  await run.resume(['--workers', String(workers), ...words])
  await run.event('step', () => true, from)
  return `resumed with ${String(workers)} worker${workers === 1 ? '' : 's'}`
}

/** The coordinator is killed at the first sign of a checkpoint being written. @returns what the kill left */
async function killInCheckpoint(run: DisturbedRun, moment: Moment): Promise<string> {
  const folder = join(run.directory, 'checkpoints')
  const delayMs = moment.draw(3)
  const watcher = watch(folder)
  await new Promise<void>((resolve) => {
    watcher.on('change', (_, name) => {
      if (!String(name).includes('.partial')) return
      if (delayMs === 0) run.signal('SIGKILL')
      else setTimeout(() => run.signal('SIGKILL'), delayMs)
      resolve()
    })
  })
  watcher.close()
  await run.end()
  const names = await readdir(folder)
  return names.some((name) => name.includes('.partial')) ? 'half a checkpoint left' : 'killed just after the rename'
}

async function newestCheckpoint(run: DisturbedRun): Promise<string> {
  const folder = join(run.directory, 'checkpoints')
  const names = (await readdir(folder)).filter((name) => /^step-\d+\.safetensors$/.test(name)).sort()
  assert(names.length >= 2, 'two checkpoints are there')
  return join(folder, names.at(-1) ?? '')
}

function warnsOf(words: RegExp): (run: DisturbedRun) => void {
  return (run) => {
    assert(
      run.eventsOf('warning').some(({ message }) => words.test(message)),
      `a warning says ${String(words)}`,
    )
  }
}

/** Harms the newest checkpoint of a killed run; the one before it is used. */
function damagedCheckpoint(name: string, harm: (path: string, moment: Moment) => Promise<void>): Fault {
  return {
    name,
    quick: false,
    length: 'short',
    start: async (run) => {
      await run.train(OFTEN)
    },
    disturb: async (run, moment) => {
      await run.until('two checkpoints', () => (run.eventsOf('checkpoint').length >= 2 ? true : undefined))
      await kill(run)
      const newest = await newestCheckpoint(run)
      await harm(newest, moment)
      const seen = await resumeElsewhere(run, moment)
      assert(Number(/step-0*(\d+)/.exec(newest)?.[1]) > (run.eventsOf('started').at(-1)?.firstStep ?? Infinity), 'an older one is used')
      return `${seen}, from the checkpoint before`
    },
    expected: warnsOf(/step-\d+\.safetensors/),
  }
}

export const COORDINATOR_FAULTS: readonly Fault[] = [
  {
    name: 'coordinator killed (SIGKILL), resumed at another number of workers',
    quick: true,
    length: 'short',
    start: async (run) => {
      await run.train(OFTEN)
    },
    disturb: async (run, moment) => {
      await run.until('a checkpoint', () => run.eventsOf('checkpoint')[0])
      await kill(run)
      return await resumeElsewhere(run, moment)
    },
    expected: () => undefined,
  },
  {
    name: 'coordinator killed between the parts of a checkpoint',
    quick: false,
    length: 'short',
    start: async (run) => {
      await run.train(OFTEN)
    },
    disturb: async (run, moment) => {
      await run.until('a checkpoint', () => run.eventsOf('checkpoint')[0])
      const left = await killInCheckpoint(run, moment)
      await resumeElsewhere(run, moment)
      return left
    },
    expected: async (run) => {
      const names = await readdir(join(run.directory, 'checkpoints'))
      assert.deepEqual(
        names.filter((name) => name.includes('.partial')),
        [],
      )
    },
  },
  {
    name: 'coordinator killed; a worker elsewhere waits and joins the resumed run',
    quick: false,
    length: 'long',
    start: async (run) => {
      await run.train([...OFTEN, '--workers', '1'])
      await run.join(REMOTE)
    },
    disturb: async (run, moment) => {
      await run.until('a checkpoint', () => run.eventsOf('checkpoint')[0])
      const { address } = run
      await kill(run)
      await sleep(moment.draw(1500))
      run.struckMs = performance.now()
      const from = run.heard.length
      await run.resume(['--workers', '1', '--listen', address])
      await run.event('workerJoined', ({ name }) => name === REMOTE, from)
      return 'joined again'
    },
    expected: (run) => {
      assert.equal(run.summary.workers, 2)
    },
  },
  {
    name: 'a second coordinator on the same run',
    quick: true,
    length: 'short',
    disturb: async (run) => {
      const { code, stderr } = await runCommand(['resume', run.directory], run.ground.base)
      assert.equal(code, 1)
      assert.match(stderr, /^error: [^\n]*run [^\n]*\n$/)
      return 'refused'
    },
    expected: (run) => {
      assert.deepEqual(faultsOf(run.summary), {})
    },
  },
  damagedCheckpoint('newest checkpoint cut short', async (path, moment) => {
    const file = await open(path, 'r+')
    await file.truncate(100 + moment.draw((await file.stat()).size - 200))
    await file.close()
  }),
  damagedCheckpoint('newest checkpoint with one wrong bit', async (path, moment) => {
    const file = await open(path, 'r+')
    const at = Math.floor((await file.stat()).size / 2) + moment.draw(10_000)
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ (1 << moment.draw(8))]), 0, 1, at)
    await file.close()
  }),
]
