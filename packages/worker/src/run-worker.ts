import { buildDigest } from '@lockstep/shared/protocol/build-digest.js'
import { InvariantError, TrainError } from '@lockstep/shared/errors/train-error.js'
import os from 'node:os'
import { backOffMs, type BackOffLimits } from './membership/back-off.js'
import { describeEnvironment, setComputeThreads } from './membership/environment.js'
import { checkAddress, Membership, type MembershipEnd } from './membership/membership.js'
import { work } from './membership/session.js'
import { prepare, preparationKey, type Preparation } from './preparation.js'
import { createWorkerLog, type WorkerLog } from './worker-log.js'

export interface WorkerOptions {
  /** host:port of the coordinator. */
  readonly join: string
  /** Where this machine has the run's data; found by digest. Default: the recipe's own paths. */
  readonly data?: string | undefined
  /** A name for people. Default: host and process id. */
  readonly name?: string | undefined
  /** TensorFlow threads; part of the engine's fingerprint. Default 1. */
  readonly computeThreads?: number | undefined
  /** Allows a coordinator that is not on this machine, without encryption. */
  readonly insecureNetwork?: boolean | undefined
  /** How long a coordinator may be away before the worker gives up. Default 60,000. */
  readonly reconnectMs?: number | undefined
  /** Default: JSON lines on standard output. */
  readonly log?: WorkerLog | undefined
}

const RECONNECT_MS = 60_000
/** Soon at first, since a coordinator that was started again waits for its workers; then gently. */
const BACK_OFF = { firstMs: 200, mostMs: 5_000 }

/**
 * Works for a run until the coordinator says that it is over, or the signal says so. One membership after the other: a
 * connection that breaks is tried again for a bounded time.
 * @param signal gives back what is in hand and returns
 * @throws TrainError NETWORK, USAGE, WORKER_REFUSED_…, DATA_…, MEMORY, and whatever makes this worker useless
 */
export async function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  checkAddress(options.join, options.insecureNetwork ?? false)
  setComputeThreads(options.computeThreads ?? 1)
  const worker = new RunningWorker(options)
  let hung = false
  try {
    await worker.run(signal)
  } catch (error) {
    hung = isHung(error)
    throw error
  } finally {
    await worker.close(signal.aborted || hung)
  }
}

/** Whether the computing thread will never end: then nothing may wait for it, not even the end of the process. */
export function isHung(error: unknown): boolean {
  return error instanceof TrainError && error.code === 'WORKER_LOST'
}

class RunningWorker {
  private readonly name: string
  private readonly log: WorkerLog
  private readonly limits: BackOffLimits
  private preparation: Preparation | undefined
  /** Since when no membership could be begun; undefined while there is one. */
  private awaySinceMs: number | undefined
  private failures = 0
  private lastReason = ''
  /** Sent away as too slow or silent: what it told of its speed is not to be told again. */
  private sentAway = false

  constructor(private readonly options: WorkerOptions) {
    this.name = options.name ?? `${os.hostname()}-${String(process.pid)}`
    this.log = options.log ?? createWorkerLog(this.name)
    this.limits = { ...BACK_OFF, limitMs: options.reconnectMs ?? RECONNECT_MS }
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const end = await this.member(signal)
      if (end === undefined || end.kind === 'left') return
      if (end.kind === 'refused') throw end.error
      if (end.kind === 'stopped' && !end.rejoin) {
        this.log.info({ reason: end.reason }, 'the run does not need this worker any more')
        return
      }
      // said once, however often it asks
      this.log[end.reason === this.lastReason ? 'debug' : 'warn'](
        { end: end.kind, reason: end.reason },
        'the membership is over; asking again',
      )
      this.lastReason = end.reason
      if (end.kind === 'stopped') {
        // whoever sends us away is there: patience is for a coordinator that is not
        this.awaySinceMs = undefined
        this.sentAway = true
      }
      await this.wait(end.reason, signal)
    }
  }

  async close(hasty: boolean): Promise<void> {
    // ending the thread waits for the operation in hand, which the end of the process does as well
    if (!hasty) await this.preparation?.close()
  }

  /** One membership from Hello to its end. */
  private async member(signal: AbortSignal): Promise<MembershipEnd | undefined> {
    const { join, data, computeThreads = 1 } = this.options
    const membership = Membership.open(join)
    try {
      const hello = {
        name: this.name,
        host: os.hostname(),
        pid: process.pid,
        buildDigest: buildDigest(),
        environment: describeEnvironment(computeThreads),
      }
      membership.send({ hello })
      const welcome = await orStopped(membership.answer('welcome'), signal)
      if (welcome === undefined) return signal.aborted ? undefined : await membership.ended
      this.awaySinceMs = undefined
      this.failures = 0
      this.log.info({ run: welcome.run, term: welcome.term, member: welcome.worker }, 'welcome; opening the data and computing the probe')
      const preparation = await this.prepared(welcome, data)
      const { recipeDigest, probe } = preparation
      const { fingerprint, leafSeconds } = probe
      membership.send({ probe: { recipeDigest, dataDigest: preparation.data.digest, fingerprint, leafSeconds } })
      const admitted = await orStopped(membership.answer('admitted'), signal)
      if (admitted === undefined) return signal.aborted ? undefined : await membership.ended
      this.log.info({ queue: admitted.queueName, slices: admitted.slices, version: admitted.version }, 'admitted')
      const end = await work({ membership, welcome, admitted, preparation, log: this.log, joined: join }, signal)
      if (end === undefined) await membership.leave({ leave: { reason: 'the worker was asked to stop' } })
      return end
    } catch (error) {
      const trouble = troubleOf(error)
      this.log.error({ code: trouble.code, err: error }, trouble.message)
      await membership.leave({ trouble })
      throw error
    } finally {
      membership.close()
    }
  }

  private async prepared(welcome: Parameters<typeof prepare>[0], data: string | undefined): Promise<Preparation> {
    const { sentAway } = this
    this.sentAway = false
    if (this.preparation?.key === preparationKey(welcome)) {
      if (sentAway) this.log.info(await this.preparation.measureAgain(), 'measured again')
      return this.preparation
    }
    const former = this.preparation
    this.preparation = undefined
    await former?.close()
    this.preparation = await prepare(welcome, data, this.log)
    return this.preparation
  }

  /** @throws TrainError NETWORK when the coordinator has been away for too long */
  private async wait(reason: string, signal: AbortSignal): Promise<void> {
    this.awaySinceMs ??= performance.now()
    this.failures++
    const awayMs = performance.now() - this.awaySinceMs
    const waitMs = backOffMs(this.limits, this.failures, awayMs)
    if (waitMs === undefined) {
      throw new TrainError(
        'NETWORK',
        `no coordinator at ${this.options.join} for ${String(Math.round(awayMs / 1000))} s (${reason}): check the address, or start the worker again when the coordinator runs`,
      )
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs)
      signal.addEventListener(
        'abort',
        () => {
          clearTimeout(timer)
          resolve()
        },
        { once: true },
      )
    })
  }
}

/** The one line that the coordinator and the person behind it read. */
function troubleOf(error: unknown): { code: string; message: string; fatal: boolean } {
  const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
  if (error instanceof TrainError) return { code: error.code, message, fatal: true }
  return { code: 'INTERNAL', message: error instanceof InvariantError ? message : `the worker failed: ${message}`, fatal: true }
}

async function orStopped<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  if (signal.aborted) return undefined
  return await new Promise((resolve, reject) => {
    const stopped = (): void => {
      resolve(undefined)
    }
    signal.addEventListener('abort', stopped, { once: true })
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', stopped)
    })
  })
}
