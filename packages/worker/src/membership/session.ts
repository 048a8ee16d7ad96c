import type { Admitted__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Admitted.js'
import type { CoordinatorMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { Heartbeat } from '@lockstep/shared/protocol/generated/lockstep/v1/Heartbeat.js'
import type { Welcome__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Welcome.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { Exchange } from '../exchange/exchange.js'
import { recipeOf, type Preparation } from '../preparation.js'
import { JobConsumer } from '../queue/job-consumer.js'
import { SpanLoop } from '../span-loop/span-loop.js'
import { SpanReporter } from '../trace/span-reporter.js'
import type { WorkerLog } from '../worker-log.js'
import type { Membership, MembershipEnd, MembershipNotice } from './membership.js'
import { reachableAddress, reachableUrl } from './reachable-address.js'

/** After a membership the computing thread may take so long for the micro-batch in hand, or so many leaves' time, before it counts as hung. */
const HUNG_MS = 10_000
const HUNG_FACTOR = 8
/** Every so many heartbeats (30 s) the log says how this process is. */
const BEATS_LOGGED = 60

/** What a session works with. */
export interface SessionParts {
  readonly membership: Membership
  readonly welcome: Welcome__Output
  readonly admitted: Admitted__Output
  readonly preparation: Preparation
  readonly log: WorkerLog
  /** host:port under which the coordinator was reached. */
  readonly joined: string
}

/**
 * Works for as long as the membership lasts.
 * @param signal ends the work: what is in hand is given back
 * @returns why it is over, or undefined if the signal said so
 * @throws TrainError what makes it impossible to go on
 */
export async function work(parts: SessionParts, signal: AbortSignal): Promise<MembershipEnd | undefined> {
  const { membership, welcome, admitted, preparation, log, joined } = parts
  const { recipe, layout, compute, weights, slots, training, evaluation } = preparation
  const identity = { run: welcome.run, term: welcome.term, worker: welcome.worker }
  const slicesAt = admitted.slices.map((address) => reachableAddress(address, joined))
  const reporter = reporterOf(parts)
  const { spans } = preparation
  // the recipe of the preparation may be that of an earlier term
  const { sharedMemory, precision, overlap } = recipeOf(welcome.recipeJson).run.exchange
  const narrow = precision === 'bfloat16'
  const options = { shareMemory: sharedMemory === 'auto', narrow, spans }
  const exchange = new Exchange(identity, layout, slicesAt, compute.memory, weights, options)
  const { global, micro, leaf } = recipe.batch
  const loop = new SpanLoop({
    term: welcome.term,
    batch: recipe.batch,
    leaves: global / (micro * leaf),
    ...{ compute, exchange, slots, training, evaluation, log, spans, narrow, overlap },
    tell: (message) => {
      membership.send(message)
    },
  })
  // both come before whatever the compute thread is asked next; if that thread is gone, the work will tell
  if (narrow) compute.forgetResidual().catch(() => undefined)
  // the averager may still read what was lent to it in a membership before this one
  const lent = slots.takeBack()
  if (lent.length > 0) compute.renew(lent).catch(() => undefined)
  membership.onNotice((kind, message) => {
    if (message.clockReading) reporter.answered(message.clockReading.sentUs, message.clockReading.receivedUs)
    else if (kind === 'flushTrace') reporter.report(true)
    else pass(loop, kind, message)
  })
  loop.onCommitted(admitted.version)
  exchange.weights.want(admitted.version)
  let beats = 0
  const heartbeat = setInterval(() => {
    const told = beat(membership, reporter, heartbeatOf(loop, exchange, preparation))
    reporter.report()
    if (beats++ % BEATS_LOGGED === 0) log.info(told, 'at work')
  }, welcome.heartbeatMs)
  const consumer = new JobConsumer(
    admitted.queueName,
    reachableUrl(admitted.queueUrl, joined),
    async (job) => {
      await loop.run(job)
    },
    log,
  )
  const stopped = new Promise<undefined>((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve(undefined)
      },
      { once: true },
    )
    if (signal.aborted) resolve(undefined)
  })
  try {
    return await Promise.race([membership.ended, loop.failed, stopped])
  } finally {
    clearInterval(heartbeat)
    log.info(heartbeatOf(loop, exchange, preparation), 'the work of this membership is over')
    const idle = loop.stop()
    exchange.close()
    await consumer.close()
    // a signal leaves no time for the micro-batch in hand: the process ends with it
    if (!signal.aborted) await untilIdle(idle, preparation.probe.leafSeconds)
  }
}

/** Waits for the micro-batch in hand. @throws TrainError WORKER_LOST when the computing thread will never answer */
async function untilIdle(idle: Promise<void>, leafSeconds: number): Promise<void> {
  const patienceMs = Math.max(HUNG_MS, HUNG_FACTOR * leafSeconds * 1000)
  let timer: NodeJS.Timeout | undefined
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new TrainError(
          'WORKER_LOST',
          `the computing thread has not answered for ${String(Math.round(patienceMs / 1000))} s after its work was given to others: this worker ends; start it again, and see the system's log if it happens twice`,
        ),
      )
    }, patienceMs)
  })
  try {
    await Promise.race([idle, hung])
  } finally {
    clearTimeout(timer)
  }
}

function pass(loop: SpanLoop, kind: MembershipNotice, message: CoordinatorMessage__Output): void {
  if (kind === 'committed' && message.committed) loop.onCommitted(message.committed.version)
  if (kind === 'dropped' && message.dropped) loop.onDropped(message.dropped.version, message.dropped.drops)
  if (kind === 'withdraw' && message.withdraw) {
    const { step, firstLeaf, leafCount } = message.withdraw
    loop.onWithdraw(step, { first: firstLeaf, count: leafCount })
  }
}

/** Records what is done from now on, if the run wants to know. */
function reporterOf({ membership, welcome, preparation }: SessionParts): SpanReporter {
  const { compute, spans, recipe } = preparation
  const { trace } = recipeOf(welcome.recipeJson).run
  const reporter = new SpanReporter(spans, trace, welcome.clock, (message) => {
    membership.send(message)
  })
  compute.timeLayers = trace.detail === 'layers'
  const { global, micro, leaf } = recipe.batch
  compute.onDone = (done) => {
    reporter.computed(done, { global, leafSamples: micro * leaf }, spans.latestStep)
  }
  return reporter
}

function beat(membership: Membership, reporter: SpanReporter, beatOf: Heartbeat): Heartbeat {
  const heartbeat = { ...beatOf, sentUs: reporter.question() }
  membership.send({ heartbeat })
  return heartbeat
}

function heartbeatOf(loop: SpanLoop, exchange: Exchange, preparation: Preparation): Heartbeat {
  const { step, leavesFinished, evaluationBatchesFinished } = loop.counters
  const { bytesAcknowledged } = exchange
  return {
    ...{ step, leavesFinished, evaluationBatchesFinished, bytesAcknowledged, bytesReceived: exchange.weights.bytesReceived },
    residentBytes: process.memoryUsage.rss(),
    tensors: preparation.compute.tensors,
  }
}
