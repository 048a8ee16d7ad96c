import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { Relay, type Selection } from '../support/relay.js'
import type { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'
import type { Moment } from './moment.js'
import { helpsAgain, losses, REMOTE } from './worker-faults.js'

/** Faults of the network between one worker and the coordinator, made by a relay that the worker goes through. */

const relays = new WeakMap<DisturbedRun, Relay>()

function relayOf(run: DisturbedRun): Relay {
  const relay = relays.get(run)
  assert(relay !== undefined, 'the run was started with a relay')
  return relay
}

/** One local worker, and one by hand behind a relay. Beyond a relay is another machine: no memory is shared with it. */
async function behindRelay(run: DisturbedRun, words: readonly string[] = []): Promise<void> {
  const relay = await Relay.start()
  relays.set(run, relay)
  run.cleanups.push(async () => {
    await relay.close()
  })
  await run.train(['--workers', '1', '--set', 'run.exchange.sharedMemory=off', ...words])
  await run.join(REMOTE, { proxy: relay.url })
}

function membershipPort(run: DisturbedRun): number {
  return Number(run.address.split(':').at(-1))
}

/** The averager's ports, as the worker asked for them. */
function slicePorts(run: DisturbedRun): number[] {
  return relayOf(run).ports.filter((port) => port !== membershipPort(run))
}

/** Holds connections until the worker counts as lost, then lets everything pass again. @returns the reason of the loss */
async function heldUntilLost(run: DisturbedRun, direction: 'up' | 'down' | 'both', selection: Selection): Promise<string> {
  const from = run.heard.length
  relayOf(run).hold(direction, selection)
  const { reason } = await run.event('workerLost', ({ name }) => name === REMOTE, from)
  // what it still sends comes late, and must do no harm
  await sleep(500)
  relayOf(run).heal()
  await helpsAgain(run, REMOTE, from)
  return reason.replace(/\d+\.\d s/, 'N s')
}

const SILENT = /^remote: silent for 3\.\d s$/
const STUCK = /^remote: no progress for \d+\.\d s with work in hand$/

function expectLoss(reason: RegExp): (run: DisturbedRun) => void {
  return (run) => {
    assert.match(losses(run)[0] ?? 'nobody was lost', reason)
    assert.equal(run.remotes[0]?.output.includes('"level":60'), false)
  }
}

export const CONNECTION_FAULTS: readonly Fault[] = [
  {
    name: "worker's connections cut",
    quick: true,
    length: 'long',
    start: behindRelay,
    disturb: async (run) => {
      const from = run.heard.length
      relayOf(run).cut()
      await run.event('workerLost', ({ name }) => name === REMOTE, from)
      await helpsAgain(run, REMOTE, from)
      return 'lost at once, joined again'
    },
    expected: expectLoss(/^remote: the connection broke$/),
  },
  {
    name: "worker's machine gone, and back (nothing passes either way)",
    quick: false,
    length: 'long',
    start: behindRelay,
    disturb: async (run) => await heldUntilLost(run, 'both', {}),
    expected: expectLoss(SILENT),
  },
  {
    name: 'one-way partition: nothing arrives from the worker',
    quick: false,
    length: 'long',
    start: behindRelay,
    disturb: async (run) => await heldUntilLost(run, 'up', {}),
    expected: expectLoss(SILENT),
  },
  {
    name: 'one-way partition: nothing of the averager arrives at the worker',
    quick: false,
    length: 'long',
    start: behindRelay,
    disturb: async (run) => await heldUntilLost(run, 'down', { notPort: membershipPort(run) }),
    expected: expectLoss(STUCK),
  },
  {
    name: 'one of two slices cannot be reached',
    quick: false,
    length: 'long',
    start: async (run) => {
      await behindRelay(run, ['--set', 'run.averager.slices=2'])
    },
    disturb: async (run, moment) => {
      const ports = slicePorts(run)
      assert.equal(ports.length, 2)
      const port = ports[moment.draw(2)]
      return await heldUntilLost(run, 'both', port === undefined ? {} : { port })
    },
    expected: expectLoss(STUCK),
  },
  {
    name: 'everything from and to a worker comes 150 ms later, for 3 s',
    quick: false,
    length: 'long',
    start: behindRelay,
    disturb: async (run) => {
      relayOf(run).delay(150)
      await sleep(3000)
      relayOf(run).heal()
      return ''
    },
    expected: (run) => {
      assert.deepEqual(losses(run), [])
    },
  },
  {
    name: 'a contribution cut off in the middle of a chunk',
    quick: true,
    length: 'long',
    start: behindRelay,
    disturb: async (run, moment: Moment) => {
      const relay = relayOf(run)
      relay.cutAfterUp(1 + moment.draw(400_000), { notPort: membershipPort(run) })
      await run.until('the cut', () => (relay.cuts === 1 ? true : undefined))
      return 'sent again'
    },
    expected: (run) => {
      assert.deepEqual(losses(run), [])
    },
  },
]
