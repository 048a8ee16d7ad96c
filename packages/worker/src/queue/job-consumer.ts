import type { Job } from '@lockstep/shared/protocol/jobs.js'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { WorkerLog } from '../worker-log.js'

/** Re-issue is the coordinator's work, so a job's lock outlives any job. */
const LOCK_MS = 24 * 60 * 60 * 1000
/** How soon an error of the connection is tried again. BullMQ's default of 15 s would hold up every other worker. */
const RETRY_MS = 500
/** A connection that does not close by itself is cut. */
const CLOSE_MS = 1000

/** Takes this worker's jobs from its queue, one at a time. A queue that is away is waited for: it is transport only. */
export class JobConsumer {
  private readonly redis: Redis
  private readonly worker: Worker<Job, void>
  private lastError = ''

  /**
   * @param url address with password; never logged
   * @param handle does a job; must not throw
   */
  constructor(
    queueName: string,
    url: string,
    handle: (job: Job) => Promise<void>,
    private readonly log: WorkerLog,
  ) {
    this.redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: (times) => Math.min(50 * times, RETRY_MS) })
    this.redis.on('error', (error) => {
      this.report(error)
    })
    this.redis.on('ready', () => {
      this.lastError = ''
    })
    this.worker = new Worker<Job, void>(queueName, async (job) => await handle(job.data), {
      connection: this.redis,
      concurrency: 1,
      lockDuration: LOCK_MS,
      skipLockRenewal: true,
      skipStalledCheck: true,
      maxStalledCount: 0,
      runRetryDelay: RETRY_MS,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    })
    this.worker.on('error', (error) => {
      this.report(error)
    })
  }

  /** Takes no more jobs. The job in hand must have been told to end. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)))
    const closed = this.worker.close(true).catch((error: unknown) => {
      this.report(error)
    })
    await Promise.race([closed, patience])
    clearTimeout(timer)
    this.redis.disconnect()
  }

  /** Each kind of error once until the connection is back. */
  private report(error: unknown): void {
    const text = error instanceof Error ? error.message || error.name : String(error)
    if (text === this.lastError) return
    this.lastError = text
    this.log.warn({ error: text }, 'the queue is not answering as it should; trying again')
  }
}
