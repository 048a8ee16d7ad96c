import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedValkey } from '@lockstep/coordinator/queue/embedded-valkey.js'
import { QUEUE_PASSWORD_VARIABLE } from '@lockstep/coordinator/queue/queue-address.js'
import { connectQueue } from '@lockstep/coordinator/queue/queue-connection.js'
import { isAlive } from '../support/process-facts.js'
import type { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'
import { losses } from './worker-faults.js'

/** Faults of the queue. What is harmed through commands is a server of our own, `run.queue: redis://…`, as people have them. */

const servers = new WeakMap<DisturbedRun, EmbeddedValkey>()
const FLUSHES = 25
const AWAY_MS = 2_000

function serverOf(run: DisturbedRun): EmbeddedValkey {
  const server = servers.get(run)
  assert(server !== undefined, 'the run was started with an external queue')
  return server
}

async function withExternalQueue(run: DisturbedRun): Promise<void> {
  const server = await EmbeddedValkey.start({
    directory: join(run.ground.base, `queue-${String(process.pid)}-${String(performance.now())}`),
    logFile: join(run.ground.base, 'queue.log'),
  })
  servers.set(run, server)
  run.cleanups.push(async () => {
    await server.stop()
  })
  await run.train(['--set', `run.queue=redis://127.0.0.1:${String(server.port)}`], { [QUEUE_PASSWORD_VARIABLE]: server.password })
  await run.until('two workers', () => (run.localWorkers.length === 2 ? true : undefined))
}

/** Commands to the external server. */
async function command(run: DisturbedRun, act: (client: Awaited<ReturnType<typeof connectQueue>>) => Promise<unknown>): Promise<void> {
  const client = await connectQueue(serverOf(run).url)
  try {
    await act(client)
  } finally {
    client.disconnect()
  }
}

/** The run goes on, nobody is blamed for the queue, and nothing of it stays in the queue. */
async function expectNobodyLost(run: DisturbedRun): Promise<void> {
  assert.deepEqual(losses(run), [])
  if (!servers.has(run)) return
  await command(run, async (client) => {
    assert.deepEqual(await client.keys('*'), [], 'no key stays')
  })
}

export const QUEUE_FAULTS: readonly Fault[] = [
  {
    name: 'embedded queue server killed (SIGKILL)',
    quick: true,
    length: 'short',
    disturb: async (run) => {
      const pid = run.queueServer
      assert(pid !== undefined, 'the embedded server runs')
      process.kill(pid, 'SIGKILL')
      await run.event('warning', ({ message }) => message.includes('the queue server ended'))
      await run.until('a new server', () => {
        const now = run.queueServer
        return now !== undefined && now !== pid && isAlive(now) ? true : undefined
      })
      return 'started again'
    },
    expected: (run) => {
      assert.deepEqual(losses(run), [])
      assert.equal(run.summary.faults.queueEnded, 1)
    },
  },
  {
    name: 'queue emptied (FLUSHALL, 25 times within 3 s)',
    quick: true,
    length: 'short',
    start: withExternalQueue,
    disturb: async (run, moment) => {
      await command(run, async (client) => {
        for (let round = 0; round < FLUSHES; round++) {
          await client.flushall()
          await sleep(20 + moment.draw(180))
        }
      })
      return ''
    },
    expected: expectNobodyLost,
  },
  {
    name: 'all connections to the queue cut (CLIENT KILL)',
    quick: false,
    length: 'short',
    start: withExternalQueue,
    disturb: async (run) => {
      await command(run, async (client) => await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'))
      return ''
    },
    expected: expectNobodyLost,
  },
  {
    name: 'external queue server killed, back empty after 2 s',
    quick: false,
    length: 'short',
    start: withExternalQueue,
    disturb: async (run) => {
      const server = serverOf(run)
      process.kill(server.pid, 'SIGKILL')
      await sleep(AWAY_MS)
      await server.restart()
      await command(run, async (client) => await client.flushall())
      return ''
    },
    expected: expectNobodyLost,
  },
]
