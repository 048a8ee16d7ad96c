import { PassThrough } from 'node:stream'
import { performance } from 'node:perf_hooks'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { parameterFloats } from '@lockstep/shared/parameters/layout.js'
import { buildDigest } from '@lockstep/shared/protocol/build-digest.js'
import { inexactness } from '@lockstep/shared/recipe/inexactness.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { writeCheckpointState, writeFreshState } from './initial-state.js'
import { LocalWorkers } from './local-workers/local-workers.js'
import { logLevel, openRunLog, type RunLog } from './logs/run-log.js'
import { MembershipServer } from './membership/membership-server.js'
import { MetricsLog } from './metrics/metrics-log.js'
import { prepareResume, prepareRun, type Preparation } from './preparation.js'
import { Quarantine } from './quarantine.js'
import { RunReport } from './run-report.js'
import { RunServices } from './run-services.js'
import { RunShell } from './run-shell.js'
import { RunTrace } from './trace/run-trace.js'
import type { TrainEvent } from './train-event.js'
import { watchLocalWorkers } from './worker-watch.js'

export interface TrainOptions {
  /** Where the run's folder is made, instead of `base/NAME`. */
  readonly runDirectory?: string
  /** Folder of runs; default `runs`. */
  readonly base?: string
  /** Listen on other than loopback although nothing is encrypted. */
  readonly insecureNetwork?: boolean
  /** Aborted once: checkpoint and stop. The reason may be 'SIGINT' or 'SIGTERM'. */
  readonly signal?: AbortSignal
}

export interface ResumeOptions extends Omit<TrainOptions, 'runDirectory'> {
  /** Changes under `run`, and a larger `steps`, as `path=value`. */
  readonly set?: readonly string[]
}

/** How long workers may take to end when the run is over. */
const WORKER_GRACE_MS = 5_000

/**
 * Trains a recipe: the library's one entrance. Starts everything the recipe asks for on this machine, yields what
 * happens, and ends with a `summary` event.
 * @param recipe a validated recipe with absolute paths, or the path of a recipe file
 * @throws TrainError, from the iteration, whatever stops the run; INTERRUPTED when aborted before the first checkpoint
 */
export async function* train(recipe: Recipe | string, options: TrainOptions = {}): AsyncGenerator<TrainEvent, void> {
  yield* eventsOf(options, (inner) => prepareRun(recipe, inner))
}

/**
 * Goes on with an earlier run from its newest whole checkpoint.
 * @param run its folder, its name under `base`, or undefined for the newest
 */
export async function* resume(run: string | undefined, options: ResumeOptions = {}): AsyncGenerator<TrainEvent, void> {
  yield* eventsOf(options, (inner) => prepareResume(run, options.set ?? [], inner))
}

/** Everything before the first process: checks, data, folder. It may tell of its progress. */
export type Prepare = (options: TrainOptions & { emit: (event: TrainEvent) => void; signal: AbortSignal }) => Promise<Preparation>

/** Runs what was prepared, as {@link train} does: yields what happens, and ends with a `summary` event. @throws TrainError */
export async function* eventsOf(options: TrainOptions, prepare: Prepare): AsyncGenerator<TrainEvent, void> {
  const events = new PassThrough({ objectMode: true, highWaterMark: Number.MAX_SAFE_INTEGER })
  const left = new AbortController()
  const signal = options.signal === undefined ? left.signal : AbortSignal.any([options.signal, left.signal])
  let summarized = false
  const emit = (event: TrainEvent): void => {
    // what is told after the summary is the end of the processes, and no part of the training
    if (summarized || !events.writable) return
    summarized = event.type === 'summary'
    events.write(event)
  }
  const work = run({ ...options, signal, emit }, prepare).then(
    () => events.end(),
    (error: unknown) => events.destroy(error instanceof Error ? error : new Error(String(error))),
  )
  try {
    for await (const event of events) yield event as TrainEvent
  } finally {
    // a consumer that stops listening stops the run
    left.abort('the consumer left')
    await work
  }
}

async function run(options: TrainOptions & { emit: (event: TrainEvent) => void; signal: AbortSignal }, prepare: Prepare): Promise<void> {
  const preparation = await interruptible(options.signal, () => prepare(options))
  const { directory } = preparation
  let log: RunLog | undefined
  try {
    log = await openRunLog(directory.logFile('coordinator'), { level: logLevel(process.env) })
    await serve(preparation, options, log)
  } catch (error) {
    log?.logger.error({ err: error }, 'the run ended with an error')
    throw error
  } finally {
    await preparation.checkpoint?.close()
    await log?.close()
    await directory.unlock()
  }
}

async function serve(
  preparation: Preparation,
  { emit: tell, signal, insecureNetwork = false }: TrainOptions & { emit: (event: TrainEvent) => void; signal: AbortSignal },
  log: RunLog,
): Promise<void> {
  const { recipe, directory, network, layout, version } = preparation
  const { listen } = recipe.run
  const trace = new RunTrace(recipe, directory.path, version)
  const emit = (event: TrainEvent): void => {
    trace.onEvent(event)
    tell(event)
  }
  emit({ type: 'preparing', what: 'queue and averager' })
  const services = await RunServices.start(preparation, listen.host, insecureNetwork)
  for (const secret of services.secrets) log.redaction.add(secret)
  const closing: (() => Promise<void>)[] = [() => services.close()]
  try {
    const membership = membershipOf(preparation, services)
    closing.unshift(async () => {
      await membership.close('the run is over')
    })
    const port = await membership.listen(listen.host, listen.port, insecureNetwork)
    const address = `${listen.host}:${String(port)}`
    // workers load TensorFlow while the weights are made
    const workers = new LocalWorkers({
      join: address,
      logDirectory: directory.logDirectory,
      computeThreads: recipe.run.workers.computeThreads,
      extra: insecureNetwork ? ['--insecure-network'] : [],
    })
    // members hear that the run is over before anybody pulls their lifeline
    closing.splice(1, 0, () => workers.stopAll(WORKER_GRACE_MS))
    trace.listen(services, membership)
    closing.unshift(async () => {
      await trace.gather(membership)
      await trace.write({ run: directory.id, term: preparation.term, recipe: recipe.name })
    })
    const metrics = await MetricsLog.open(directory, { cutBackTo: version })
    closing.push(() => metrics.close())
    const report = new RunReport(recipe.batch.global, performance.now(), inexactness(recipe))
    const { logger } = log
    const quarantine = new Quarantine({ membership, workers, localWorkers: recipe.run.workers.count, report, emit, logger })
    const shell = new RunShell({ preparation, services, membership, metrics, report, quarantine, trace, logger, emit })
    watchLocalWorkers({ workers, membership, shell, emit, logger: log.logger, expected: recipe.run.workers.count })
    for (let index = 1; index <= recipe.run.workers.count; index++) workers.start(`worker-${String(index)}`)
    const initialized = await interruptible(signal, async () => {
      if (preparation.checkpoint !== null) await writeCheckpointState(services.averager, preparation.checkpoint, layout, emit)
      return preparation.checkpoint === null ? await writeFreshState(services.averager, recipe, network, layout, emit) : null
    })
    await services.averager.open(version)
    emit({
      ...{ type: 'started', directory: directory.path, address, steps: preparation.plan.steps, firstStep: version, initialized },
      ...{
        parameters: parameterFloats(layout),
        frozen: parameterFloats(preparation.frozen?.layout ?? { entries: [] }),
        leaves: preparation.plan.leaves,
        workers: recipe.run.workers.count,
      },
    })
    await conduct(preparation, { shell, services, membership, report, emit, signal })
    log.logger.info({ contributions: services.averager.counters() }, 'contributions by outcome')
  } finally {
    for (const close of closing)
      await close().catch((error: unknown) => {
        log.logger.error({ err: error }, 'closing')
      })
  }
}

function membershipOf(preparation: Preparation, services: RunServices): MembershipServer {
  const { recipe, recipeDigest, dataDigest, dataDigests, directory, term, fingerprint } = preparation
  return new MembershipServer({
    run: directory.id,
    term,
    recipeJson: JSON.stringify(recipe),
    dataJson: JSON.stringify({ digests: dataDigests }),
    maximum: recipe.run.workers.maximum,
    requirements: { buildDigest: buildDigest(), recipeDigest, dataDigest },
    engine: fingerprint === null || fingerprint === '' ? null : { fingerprint, description: '' },
    admit: async (worker) => ({
      queueName: await services.queues.open(worker),
      queueUrl: services.queueUrl,
      slices: services.averager.addresses,
      version: Math.max(services.averager.committed, preparation.version),
    }),
  })
}

interface Conducted {
  readonly shell: RunShell
  readonly services: RunServices
  readonly membership: MembershipServer
  readonly report: RunReport
  readonly emit: (event: TrainEvent) => void
  readonly signal: AbortSignal
}

/** From the first step to the summary. */
async function conduct(preparation: Preparation, { shell, services, membership, report, emit, signal }: Conducted): Promise<void> {
  let grace: NodeJS.Timeout | undefined
  const stop = (): void => {
    shell.stop(String(signal.reason))
    // whoever sends SIGTERM sends SIGKILL next
    if (signal.reason !== 'SIGTERM') return
    const { graceSeconds } = preparation.recipe.run.checkpoint
    grace = setTimeout(() => {
      if (shell.savedVersion >= shell.version) return
      const message = graceOver(graceSeconds, shell, preparation)
      emit({ type: 'warning', message })
      services.averager.abandonStateWork()
      shell.fail(new TrainError('INTERRUPTED', message))
    }, graceSeconds * 1000)
  }
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop)
  try {
    report.restartClock(performance.now())
    shell.start()
    const reason = await shell.finished
    const digests = await services.averager.digest(shell.version, shell.suffix)
    report.contributions(services.averager.counters())
    const summary = report.summary(performance.now(), {
      steps: shell.version,
      ...digests,
      fingerprint: membership.engine?.fingerprint ?? '',
    })
    await preparation.directory.writeSummary(summary)
    emit({ type: 'summary', summary, directory: preparation.directory.path, finished: reason !== 'stopped' })
  } finally {
    clearTimeout(grace)
    signal.removeEventListener('abort', stop)
  }
}

function graceOver(graceSeconds: number, { version, savedVersion }: RunShell, { directory }: Preparation): string {
  const good =
    savedVersion < 0
      ? `there is no checkpoint before it; start anew with lockstep train ${directory.recipePath}`
      : `the checkpoint of step ${String(savedVersion)} is good: go on with lockstep resume ${directory.path}`
  return `step ${String(version)} was not saved within the ${String(graceSeconds)} s of run.checkpoint.graceSeconds; ${good}`
}

/** Before the first step there is nothing to save: an abort is an error then. */
async function interruptible<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const refuse = (): never => {
    throw new TrainError('INTERRUPTED', `interrupted (${String(signal.reason)}) before the first step; nothing was trained`)
  }
  if (signal.aborted) refuse()
  try {
    return await work()
  } catch (error) {
    if (signal.aborted && error === signal.reason) refuse()
    throw error
  }
}
