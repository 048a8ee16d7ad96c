import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import { learningRateSchema } from '@lockstep/shared/recipe/schema.js'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from './local-workers/doomed-parent.js'
import { EmbeddedValkey } from './queue/embedded-valkey.js'
import { SpanQueues } from './queue/span-queues.js'
import { doubtfulWorkers, QueueWatch } from './queue-watch.js'
import { initialRunState, type RunState } from './run-loop/run-state.js'

let directory: string
let valkey: EmbeddedValkey
let queues: SpanQueues

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep-queue-watch-'))
  valkey = await EmbeddedValkey.start({ directory: join(directory, 'queue'), logFile: join(directory, 'queue.log') })
  queues = await SpanQueues.connect({ url: valkey.url, run: 'r1' })
})

afterAll(async () => {
  await queues.closeAll()
  await valkey.stop()
  await rm(directory, { recursive: true })
})

/** Workers `full` and `empty` with a leaf each in hand, and `idle` without. */
function stateOf(): RunState {
  const learningRate = learningRateSchema.parse({})
  const counts = { evaluationEvery: null, evaluationBatches: 0, checkpointEvery: 100, minimumWorkers: 1 }
  const state = initialRunState({ ...counts, leaves: 2, globalBatch: 8, steps: 4, learningRate }, 0, initialSchedule(learningRate), -1)
  for (const [index, worker] of ['full', 'empty', 'idle'].entries()) {
    const leaves = worker === 'idle' ? [] : [index]
    const nothing = { audits: [], batches: [], lastHeardMs: 0, lastProgressMs: 0, slowTurns: 0 }
    state.workers[worker] = { worker, process: worker, leafSeconds: 0.1, leaves, ...nothing }
  }
  return state
}

it('names the worker whose work vanished, once there is doubt, and no other', async () => {
  for (const worker of ['full', 'empty', 'idle']) await queues.open(worker)
  await queues.add('full', { kind: 'span', term: 1, step: 0, first: 0, count: 1, hint: null })
  const lost: string[] = []
  const watch = new QueueWatch(queues, (worker) => lost.push(worker), pino({ enabled: false }))
  watch.look(stateOf(), 900)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(lost).toEqual([])
  watch.look(stateOf(), 1100)
  await until(() => lost.length > 0)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(lost).toEqual(['empty'])
})

it('doubts a worker whose leaves are covered and whose audit is not there', () => {
  const state = stateOf()
  for (const worker of Object.values(state.workers)) Object.assign(worker, { leaves: [], audits: worker.worker === 'full' ? [1] : [] })
  expect(doubtfulWorkers(state, 1100)).toEqual(['full'])
})
