import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { GenericContainer, getContainerRuntimeClient } from 'testcontainers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Job, SpanJob } from '@lockstep/shared/protocol/jobs.js'
import { until } from '../local-workers/doomed-parent.js'
import { EmbeddedValkey } from './embedded-valkey.js'
import { SpanQueues } from './span-queues.js'

interface Server {
  readonly url: string
  stop(): Promise<void>
}

async function embedded(): Promise<Server & { valkey: EmbeddedValkey }> {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-span-queues-'))
  const valkey = await EmbeddedValkey.start({ directory: join(directory, 'queue'), logFile: join(directory, 'queue.log') })
  return {
    url: valkey.url,
    valkey,
    stop: async () => {
      await valkey.stop()
      await rm(directory, { recursive: true })
    },
  }
}

async function container(image: string): Promise<Server> {
  const started = await new GenericContainer(image).withExposedPorts(6379).start()
  return {
    url: `redis://${started.getHost()}:${String(started.getMappedPort(6379))}`,
    stop: async () => {
      await started.stop()
    },
  }
}

/** Why there are no containers here; undefined where there are. */
const noContainers = await getContainerRuntimeClient().then(
  () => undefined,
  (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0],
)
if (noContainers !== undefined) console.log(`the queue's contract is not tried on Redis and Valkey containers: ${noContainers}`)

const span = (step: number, first = 0): SpanJob => ({ kind: 'span', term: 1, step, first, count: 2, hint: null })

/** A worker as workers are: it takes jobs from the queue it was told, over a connection of its own. */
class Consumer {
  readonly jobs: Job[] = []
  readonly #worker: Worker<Job>
  readonly #client: Redis

  constructor(url: string, queue: string, work: (job: Job) => Promise<void> = () => Promise.resolve()) {
    this.#client = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 })
    this.#client.on('error', () => undefined)
    this.#worker = new Worker<Job>(
      queue,
      async (job) => {
        this.jobs.push(job.data)
        await work(job.data)
      },
      { connection: this.#client, concurrency: 1, maxStalledCount: 0 },
    )
    this.#worker.on('error', () => undefined)
  }

  async close(): Promise<void> {
    await this.#worker.close(true)
    this.#client.disconnect()
  }
}

describe.each([
  { name: 'the embedded Valkey', start: embedded, missing: undefined },
  { name: 'redis:7 in a container', start: () => container('redis:7'), missing: noContainers },
  { name: 'valkey/valkey:8 in a container', start: () => container('valkey/valkey:8'), missing: noContainers },
])('SpanQueues on $name', ({ start, missing }) => {
  if (missing !== undefined) {
    it('keeps the contract', ({ skip }) => skip(missing))
    return
  }
  describe('contract', () => {
    let server: Server
    let probe: Redis
    let queues: SpanQueues
    const consumers: Consumer[] = []
    const consume = (queue: string, work?: (job: Job) => Promise<void>): Consumer => {
      const consumer = new Consumer(server.url, queue, work)
      consumers.push(consumer)
      return consumer
    }

    beforeAll(async () => {
      server = await start()
      probe = new Redis(server.url)
    })
    afterAll(async () => {
      probe.disconnect()
      await server.stop()
    })
    beforeEach(async () => {
      queues = await SpanQueues.connect({ url: server.url, run: 'r1' })
    })
    afterEach(async () => {
      for (const consumer of consumers.splice(0)) await consumer.close()
      await queues.closeAll()
      expect(await probe.keys('bull:lockstep-r1-*')).toEqual([])
      await probe.flushall()
    })

    it('brings each worker its own jobs, in order and as they were given', async () => {
      const [a, b] = [consume(await queues.open('a')), consume(await queues.open('b:1'))]
      const evaluation: Job = { kind: 'evaluation', term: 1, version: 9, first: 0, count: 3 }
      for (const job of [span(1), span(2), evaluation]) await queues.add('a', job)
      await queues.add('b:1', { ...span(1, 2), hint: { step: 2, first: 2, count: 2 } })
      await until(() => a.jobs.length + b.jobs.length === 4)
      expect(a.jobs).toEqual([span(1), span(2), evaluation])
      expect(b.jobs).toEqual([{ ...span(1, 2), hint: { step: 2, first: 2, count: 2 } }])
    })

    it('does not double a job that waits or is being worked on, and forgets one that is done', async () => {
      let finish = (): void => undefined
      const name = await queues.open('a')
      await queues.add('a', span(1))
      await queues.add('a', span(1))
      expect(await queues.holds('a', span(1))).toBe(true)
      const consumer = consume(name, () => new Promise((resolve) => (finish = resolve)))
      await until(() => consumer.jobs.length === 1)
      await queues.add('a', span(1))
      finish()
      await until(async () => !(await queues.holds('a', span(1))))
      expect(consumer.jobs).toEqual([span(1)])
      await queues.add('a', span(1))
      await until(() => consumer.jobs.length === 2)
      finish()
    })

    it('knows an empty queue from one with a job that waits or is being worked on', async () => {
      let finish = (): void => undefined
      const name = await queues.open('a')
      expect(await queues.isEmpty('a')).toBe(true)
      await queues.add('a', span(1))
      expect(await queues.isEmpty('a')).toBe(false)
      const consumer = consume(name, () => new Promise((resolve) => (finish = resolve)))
      await until(() => consumer.jobs.length === 1)
      expect(await queues.isEmpty('a')).toBe(false)
      await probe.flushall()
      expect(await queues.isEmpty('a')).toBe(true)
      finish()
      expect(await queues.isEmpty('nobody')).toBe(false)
    })

    it('keeps nothing of jobs, done or failed', async () => {
      const consumer = consume(await queues.open('a'), (job) => (job.first === 0 ? Promise.resolve() : Promise.reject(new Error('broken'))))
      const counted = async (): Promise<number> => (await probe.keys('bull:lockstep-r1-*:span-*')).length
      for (let step = 0; step < 10; step++) await queues.add('a', span(step, step % 2))
      await until(() => consumer.jobs.length === 10)
      await until(async () => (await counted()) === 0)
      expect(consumer.jobs).toHaveLength(10) // one attempt each
    })

    it('takes the jobs again after the server was emptied', async () => {
      const name = await queues.open('a')
      await queues.add('a', span(1))
      await probe.flushall()
      expect(await queues.holds('a', span(1))).toBe(false)
      const consumer = consume(name)
      await queues.add('a', span(1))
      await until(() => consumer.jobs.length === 1)
      await probe.flushall() // now under a consumer that waits
      await queues.add('a', span(2))
      await until(() => consumer.jobs.length === 2)
    })

    it('comes back after its connections were cut, and says so', async () => {
      const consumer = consume(await queues.open('a'))
      await queues.add('a', span(1))
      await until(() => consumer.jobs.length === 1)
      const back = new Promise<void>((resolve) => {
        queues.onReconnected(resolve)
      })
      await probe.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES')
      await back
      await queues.add('a', span(2))
      await until(() => consumer.jobs.length === 2)
    })

    it('removes what an earlier term left, and nothing of another run', async () => {
      const other = await SpanQueues.connect({ url: server.url, run: 'r2' })
      await other.open('a')
      await other.add('a', span(1))
      await queues.open('a')
      await queues.add('a', span(1))
      const next = await SpanQueues.connect({ url: server.url, run: 'r1' })
      expect(await probe.keys('bull:lockstep-r1-*')).toEqual([])
      expect(await other.holds('a', span(1))).toBe(true)
      await next.closeAll()
      await other.closeAll()
      expect(await probe.keys('bull:lockstep-r2-*')).toEqual([])
    })

    it('gives a worker that comes back a queue that its former self does not know', async () => {
      const first = await queues.open('a')
      const zombie = consume(first)
      const second = await queues.open('a')
      expect(second).not.toBe(first)
      await queues.add('a', span(1))
      const successor = consume(second)
      await until(() => successor.jobs.length === 1)
      expect(zombie.jobs).toEqual([])
    })
  })
})

describe('SpanQueues on a server that is killed', () => {
  it('goes on when the server was killed and started again, with jobs waiting for it meanwhile', async () => {
    const server = await embedded()
    const queues = await SpanQueues.connect({ url: server.url, run: 'r1' })
    const errors: Error[] = []
    queues.onError((error) => errors.push(error))
    const consumer = new Consumer(server.url, await queues.open('a'))
    await queues.add('a', span(1))
    await until(() => consumer.jobs.length === 1)
    const gone = new Promise<unknown>((resolve) => {
      server.valkey.onExit(resolve)
    })
    const back = new Promise<void>((resolve) => {
      queues.onReconnected(resolve)
    })
    process.kill(server.valkey.pid, 'SIGKILL')
    await gone
    await until(() => errors.length > 0)
    const added = queues.add('a', span(2))
    await server.valkey.restart()
    await Promise.all([added, back])
    await until(() => consumer.jobs.length === 2)
    await consumer.close()
    await queues.closeAll()
    await server.stop()
  })

  it('names a server that answers and refuses to write', async () => {
    const server = await embedded()
    const queues = await SpanQueues.connect({ url: server.url, run: 'r1' })
    await queues.open('a')
    const admin = new Redis(server.url)
    // the one way to make it refuse that fills neither memory nor disk: it wants a replica
    await admin.config('SET', 'min-replicas-to-write', '1')
    const refused = queues.add('a', span(1))
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' })
    await expect(refused).rejects.toThrow(/^the queue \S+ refuses work \(NOREPLICAS [^)]*\): put that server right, then resume the run$/)
    await admin.config('SET', 'min-replicas-to-write', '0')
    admin.disconnect()
    await queues.closeAll()
    await server.stop()
  })

  it('closes in peace when the server has gone for good', async () => {
    const server = await embedded()
    const queues = await SpanQueues.connect({ url: server.url, run: 'r1' })
    await queues.open('a')
    await server.stop()
    await queues.close('a')
    await queues.closeAll()
    await queues.closeAll()
  })
})
