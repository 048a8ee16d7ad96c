import { randomBytes } from 'node:crypto'
import { Queue } from 'bullmq'
import { ReplyError, type Redis } from 'ioredis'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import type { Job } from '@lockstep/shared/protocol/jobs.js'
import { parseQueueAddress } from './queue-address.js'
import { connectQueue } from './queue-connection.js'
import { jobId, queueName, queuePrefix } from './queue-names.js'

/** BullMQ's own default, under which workers look for their queue. */
const BULL = 'bull'
/** A queue that is away longer than this is no hiccup. The embedded one is back within a second. */
const ADD_DEADLINE_MS = 10_000
const CLOSE_DEADLINE_MS = 2_000
/** BullMQ notes every job in a stream that nobody reads here. */
const EVENTS_KEPT = 100

/**
 * One BullMQ queue a worker. The queues are transport only: the run loop knows what is to be done and puts a lost job
 * in again, so jobs are tried once, and kept no longer than they run (the server never evicts, so kept jobs would fill it).
 */
export class SpanQueues {
  readonly #client: Redis
  readonly #run: string
  readonly #printable: string
  readonly #queues = new Map<string, Queue<Job>>()
  readonly #errorListeners: ((error: Error) => void)[] = []
  readonly #readyListeners: (() => void)[] = []
  #closed = false

  private constructor(client: Redis, run: string, printable: string) {
    this.#client = client
    this.#run = run
    this.#printable = printable
    // the first "ready" has passed: every further one means that the connection broke and is back
    client.on('ready', () => {
      for (const listener of this.#readyListeners) listener()
    })
    client.on('error', (error) => {
      this.#report(error)
    })
  }

  /**
   * Connects, and removes what earlier terms of this run left in the queue server.
   * @param url with password
   * @param run the run's id
   * @throws TrainError QUEUE_UNAVAILABLE
   */
  static async connect({ url, run }: { url: string; run: string }): Promise<SpanQueues> {
    const client = await connectQueue(url)
    try {
      await removeQueues(client, run)
    } catch (error) {
      client.disconnect()
      throw error
    }
    return new SpanQueues(client, run, parseQueueAddress(url).printable)
  }

  /** Errors of the connection; it comes back by itself. */
  onError(listener: (error: Error) => void): void {
    this.#errorListeners.push(listener)
  }

  /** The connection broke and is back: what the queues held may be gone, so put the outstanding jobs in again. */
  onReconnected(listener: () => void): void {
    this.#readyListeners.push(listener)
  }

  /** Makes a worker's queue, empty, and under a new name each time. @returns the name for the worker */
  async open(worker: string): Promise<string> {
    invariant(!this.#closed, 'no queue is opened after all were closed')
    await this.close(worker)
    const queue = new Queue<Job>(queueName(this.#run, worker, randomBytes(4).toString('hex')), {
      connection: this.#client,
      prefix: BULL,
      defaultJobOptions: { attempts: 1, removeOnComplete: true, removeOnFail: true },
      streams: { events: { maxLen: EVENTS_KEPT } },
    })
    queue.on('error', (error) => {
      this.#report(error)
    })
    this.#queues.set(worker, queue)
    await this.#within(ADD_DEADLINE_MS, queue.waitUntilReady())
    return queue.name
  }

  /**
   * Puts a job into a worker's queue; one that waits there or is being worked on already is not doubled. While the
   * queue server is away this waits for it.
   * @throws TrainError QUEUE_UNAVAILABLE when it stays away
   */
  async add(worker: string, job: Job): Promise<void> {
    const queue = this.#queues.get(worker)
    invariant(queue !== undefined, `the queue of worker ${worker} is open`)
    await this.#within(ADD_DEADLINE_MS, queue.add(job.kind, job, { jobId: jobId(job) }))
  }

  /** Whether the job waits in the worker's queue or is being worked on: false after the queue was emptied, or the job done. */
  async holds(worker: string, job: Job): Promise<boolean> {
    const queue = this.#queues.get(worker)
    return queue !== undefined && (await this.#within(ADD_DEADLINE_MS, queue.getJobState(jobId(job)))) !== 'unknown'
  }

  /** Whether no job waits in a worker's queue and none is being worked on. False when the worker has no queue. */
  async isEmpty(worker: string): Promise<boolean> {
    const queue = this.#queues.get(worker)
    if (queue === undefined) return false
    const counts = await this.#within(ADD_DEADLINE_MS, queue.getJobCounts('wait', 'active', 'prioritized', 'delayed'))
    return Object.values(counts).every((count) => count === 0)
  }

  /** Removes a worker's queue with all in it. Does nothing if there is none. */
  async close(worker: string): Promise<void> {
    const queue = this.#queues.get(worker)
    if (queue === undefined) return
    this.#queues.delete(worker)
    try {
      if (this.#client.status === 'ready') await this.#within(CLOSE_DEADLINE_MS, queue.obliterate({ force: true }))
    } catch (error) {
      this.#report(error) // the next term removes it
    }
    await queue.close()
  }

  /** Removes all queues of the run and disconnects. */
  async closeAll(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const worker of [...this.#queues.keys()]) await this.close(worker)
    try {
      if (this.#client.status === 'ready') await this.#within(CLOSE_DEADLINE_MS, removeQueues(this.#client, this.#run))
    } catch (error) {
      this.#report(error)
    }
    this.#client.disconnect()
  }

  async #within<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(
          new TrainError(
            'QUEUE_UNAVAILABLE',
            `the queue ${this.#printable} has not answered for ${String(deadlineMs / 1000)} s: start it again, then resume the run`,
          ),
        )
      }, deadlineMs)
    })
    try {
      return await Promise.race([work, deadline])
    } catch (error) {
      throw error instanceof ReplyError ? this.#refusal(error as Error) : error
    } finally {
      clearTimeout(timer)
    }
  }

  /** A server that answers and cannot: its disk or memory is full, or it has become a replica. */
  #refusal(cause: Error): TrainError {
    return new TrainError(
      'QUEUE_UNAVAILABLE',
      `the queue ${this.#printable} refuses work (${cause.message.replaceAll(/\s+/g, ' ').replace(/ script: .*/, '')}): put that server right, then resume the run`,
      { cause },
    )
  }

  #report(error: unknown): void {
    const known = error instanceof Error ? error : new Error(String(error))
    for (const listener of this.#errorListeners) listener(known)
  }
}

/** Deletes every key of every queue of a run. */
async function removeQueues(client: Redis, run: string): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await client.scan(cursor, 'MATCH', `${BULL}:${queuePrefix(run)}*`, 'COUNT', 1000)
    if (keys.length > 0) await client.unlink(...keys)
    cursor = next
  } while (cursor !== '0')
}
