import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCheckpoint, type Checkpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { checkTransfer } from '@lockstep/shared/initialization/initial-weights.js'
import { initialSchedule, type ScheduleState } from '@lockstep/shared/optimizer/learning-rate.js'
import { loadRecipe, recipeDigest, recipeText } from '@lockstep/shared/recipe/load.js'
import { inexactness } from '@lockstep/shared/recipe/inexactness.js'
import { withDefaults } from '@lockstep/shared/recipe/resolved-recipe.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { METRICS_FILE } from '../metrics/metrics-log.js'
import { describe, type Preparation } from '../preparation.js'
import { RunDirectory } from '../run-directory/run-directory.js'
import type { TrainEvent } from '../train-event.js'
import { eventsOf } from '../train.js'
import {
  commonInterval,
  digestsInMetrics,
  lastStepInMetrics,
  ReplayComparison,
  type ComparedDigest,
  type RecordedDigest,
  type Verdict,
} from './replay-comparison.js'

export interface VerifyOptions {
  /** Folder of runs; default `runs`. */
  readonly base?: string
  /** Where the replay begins: the step of a kept checkpoint, or 0 for the recipe's own beginning. Default: the oldest kept. */
  readonly from?: number
  /** Steps to compute again. Default: all that the run did since. */
  readonly steps?: number
  /** Local workers; default the run's own number, at most one a processor. */
  readonly workers?: number
  readonly signal?: AbortSignal
}

export type VerifyEvent =
  /** What will be computed again: updates (from, until], and how many digests there are to compare. */
  | { readonly type: 'verifying'; readonly directory: string; readonly from: number; readonly until: number; readonly digests: number }
  | ({ readonly type: 'compared' } & ComparedDigest)
  | ({
      readonly type: 'verdict'
      readonly directory: string
      readonly from: number
      readonly until: number
      readonly hint: string | null
    } & {
      readonly verdict: Verdict
    })
  /** Of the replay, as {@link train} tells them. */
  | Extract<
      TrainEvent,
      { type: 'preparing' | 'workerJoined' | 'workerLost' | 'workerLeft' | 'workerRefused' | 'waiting' | 'warning' | 'step' | 'evaluating' }
    >

const TOLD: readonly TrainEvent['type'][] = [
  ...(['preparing', 'workerJoined', 'workerLost', 'workerLeft', 'workerRefused'] as const),
  ...(['waiting', 'warning', 'step', 'evaluating'] as const),
]

/** What is known of the run before anything is computed. */
interface Plan {
  readonly directory: RunDirectory
  readonly recipe: Recipe
  readonly checkpoint: Checkpoint | null
  readonly from: number
  readonly until: number
  readonly recorded: readonly RecordedDigest[]
  readonly suffixes: ReadonlyMap<number, Uint8Array>
  /** Of the engine that the run was computed with; empty when nothing tells. */
  readonly fingerprint: string
  readonly dataDigest: string | null
}

/**
 * Computes a part of a run again on this machine, in a folder of its own that is removed afterwards, and compares the digest of
 * every step with those that the run wrote down. The run itself is only read. The last event is the verdict; the replay ends at
 * the first digest that differs.
 * @param run its folder, its name under `base`, or undefined for the newest
 * @throws TrainError RUN_MISSING, USAGE (no such checkpoint), CHECKPOINT_INVALID, RECIPE_INVALID (the recipe was changed),
 *   DATA_…, WORKER_REFUSED_ENGINE (this machine computes other bits), INTERRUPTED, and whatever stops a training
 */
export async function* verify(run: string | undefined, options: VerifyOptions = {}): AsyncGenerator<VerifyEvent, void> {
  const warnings: VerifyEvent[] = []
  const plan = await planOf(run, options, (message) => warnings.push({ type: 'warning', message }))
  const { directory, from, until, recorded } = plan
  const hint = lengthHint(plan)
  try {
    yield* warnings
    yield { type: 'verifying', directory: directory.path, from, until, digests: recorded.length }
    const comparison = new ReplayComparison(recorded)
    if (recorded.length > 0) yield* replay(plan, comparison, options)
    yield { type: 'verdict', directory: directory.path, from, until, hint, verdict: comparison.verdict() }
  } finally {
    await plan.checkpoint?.close().catch(() => undefined)
  }
}

async function* replay(plan: Plan, comparison: ReplayComparison, options: VerifyOptions): AsyncGenerator<VerifyEvent, void> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-verify-'))
  const parted = new AbortController()
  const compared: ComparedDigest[] = []
  const onStep = (step: number, ofStep: string | null, ofCheckpoint: string | null): void => {
    const made = comparison.take(step, ofStep, ofCheckpoint)
    compared.push(...made)
    // what comes after the first difference differs as well
    if (made.some(({ agrees }) => !agrees)) parted.abort('the digests part')
  }
  const signal = options.signal === undefined ? parted.signal : AbortSignal.any([options.signal, parted.signal])
  let keep = false
  try {
    const events = eventsOf({ signal }, ({ emit, signal: inner }) =>
      prepareReplay(plan, { folder, workers: options.workers, emit, signal: inner, onStep }),
    )
    for await (const event of events) {
      for (const made of compared.splice(0)) yield { type: 'compared', ...made }
      if (TOLD.includes(event.type)) yield event as VerifyEvent
    }
    for (const made of compared.splice(0)) yield { type: 'compared', ...made }
    if (options.signal?.aborted === true && comparison.verdict().outcome !== 'agree' && !parted.signal.aborted)
      throw new TrainError(
        'INTERRUPTED',
        `interrupted (${String(options.signal.reason)}): the replay is not done, so it proves nothing yet`,
      )
  } catch (error) {
    // a message may send the person to a log in there
    keep = error instanceof Error && error.message.includes(folder)
    throw otherMachine(error, plan)
  } finally {
    if (!keep) await rm(folder, { recursive: true, force: true })
  }
}

interface ReplayParts {
  readonly folder: string
  readonly workers: number | undefined
  readonly emit: (event: TrainEvent) => void
  readonly signal: AbortSignal
  readonly onStep: NonNullable<Preparation['replay']>['onStep']
}

async function prepareReplay(plan: Plan, { folder, workers, emit, signal, onStep }: ReplayParts): Promise<Preparation> {
  const { checkpoint, from, until, recorded, suffixes, fingerprint } = plan
  const count = workers ?? Math.max(1, Math.min(plan.recipe.run.workers.count, availableParallelism()))
  const digestEverySteps = commonInterval(recorded.filter(({ of }) => of === 'step').map(({ step }) => step))
  const recipe: Recipe = {
    ...plan.recipe,
    run: {
      ...plan.recipe.run,
      workers: { ...plan.recipe.run.workers, count, minimum: 1, maximum: Math.max(count, plan.recipe.run.workers.maximum) },
      checkpoint: { ...plan.recipe.run.checkpoint, digestEverySteps },
      queue: 'embedded',
      listen: { host: '127.0.0.1', port: 0 },
    },
  }
  const described = await describe(recipe, { emit, signal })
  if (plan.dataDigest !== null && plan.dataDigest !== described.dataDigest) {
    throw new TrainError(
      'DATA_CORRUPT',
      `the data set of ${plan.directory.path} has changed since it was trained on (digest ${described.dataDigest.slice(0, 12)}, was ${plan.dataDigest.slice(0, 12)}): put the old pictures back to verify it`,
    )
  }
  if (checkpoint === null) await checkTransfer(recipe, described.network)
  const directory = await RunDirectory.create({ name: recipe.name, path: join(folder, 'run') })
  await directory.lock()
  await directory.writeRecipe(recipeText(recipe))
  return {
    ...described,
    plan: { ...described.plan, replayUntil: until },
    directory,
    term: await directory.nextTerm(),
    version: from,
    schedule: checkpoint === null ? initialSchedule(recipe.learningRate) : (checkpoint.metadata.schedule as ScheduleState),
    checkpoint,
    fingerprint,
    replay: { suffixes, onStep },
  }
}

async function planOf(run: string | undefined, options: VerifyOptions, warn: (message: string) => void): Promise<Plan> {
  const directory = await RunDirectory.open(run, options.base)
  const recipe = withDefaults((await loadRecipe(directory.recipePath)).recipe)
  const inexact = inexactness(recipe)
  if (inexact !== null) throw new TrainError('USAGE', `${directory.path} cannot be verified: ${inexact}`)
  const metrics = await readFile(join(directory.path, METRICS_FILE), 'utf8').catch(() => '')
  const kept = await wholeCheckpoints(directory, warn)
  const steps = kept.map(({ metadata }) => metadata.step)
  const from = options.from ?? steps[0] ?? 0
  const checkpoint = kept.find(({ metadata }) => metadata.step === from) ?? null
  await Promise.all(kept.filter((other) => other !== checkpoint).map(async (other) => other.close()))
  if (checkpoint === null && from !== 0) {
    const choice = steps.length === 0 ? 'it has no checkpoint: give --from 0' : `give one of ${[0, ...steps].join(', ')}`
    throw new TrainError('USAGE', `--from ${String(from)}: ${directory.path} has no whole checkpoint of that step; ${choice}`)
  }
  for (const { metadata, path } of kept) checkRecipe(recipe, metadata.recipe, directory, path)
  const last = Math.max(lastStepInMetrics(metrics), steps.at(-1) ?? 0)
  const until = Math.min(last, options.steps === undefined ? last : from + options.steps)
  const later = kept.filter(({ metadata }) => metadata.step > from && metadata.step <= until)
  const summary = JSON.parse(await readFile(directory.summaryPath, 'utf8').catch(() => '{}')) as { fingerprint?: string }
  return {
    ...{ directory, recipe, checkpoint, from, until },
    recorded: [
      ...digestsInMetrics(metrics, from, until),
      ...later.map(({ metadata }) => ({ step: metadata.step, of: 'checkpoint' as const, digest: metadata.stateDigest })),
    ],
    suffixes: new Map(later.map(({ metadata, suffix }) => [metadata.step, suffix])),
    fingerprint: kept.map(({ metadata }) => metadata.fingerprint).find((known) => known !== '') ?? summary.fingerprint ?? '',
    dataDigest: kept[0]?.metadata.dataDigest ?? null,
  }
}

/** The kept checkpoints whose digests are right, oldest first, open. Damaged ones are named. */
async function wholeCheckpoints(directory: RunDirectory, warn: (message: string) => void): Promise<Checkpoint[]> {
  const whole: Checkpoint[] = []
  for (const { path } of (await directory.checkpoints()).reverse()) {
    try {
      const checkpoint = await openCheckpoint(path)
      await checkpoint.verify()
      whole.push(checkpoint)
    } catch (error) {
      if (!(error instanceof TrainError)) throw error
      warn(error.message)
    }
  }
  return whole
}

/** A resume may raise the number of steps and nothing else of what is computed. */
function checkRecipe(recipe: Recipe, then: Recipe, directory: RunDirectory, path: string): void {
  const computed = ({ steps: _steps, epochs: _epochs, ...rest }: Recipe): string => recipeDigest(rest)
  if (computed(recipe) === computed(then)) return
  throw new TrainError(
    'RECIPE_INVALID',
    `${directory.recipePath} is not the recipe that ${path} was trained with: somebody changed it; put the old one back to verify the run`,
  )
}

/** A run that was made longer evaluated at its former end, which a replay does not know. */
function lengthHint({ recipe, checkpoint }: Plan): string | null {
  const before = checkpoint?.metadata.recipe.steps
  if (before === undefined || before === recipe.steps) return null
  return `the run was made longer since that checkpoint (from ${String(before)} to ${String(recipe.steps)} steps), and evaluated at its former end: verify from a checkpoint after step ${String(before)}`
}

/** The refusal of our own worker, as the person who verifies has to read it. */
function otherMachine(error: unknown, { directory, fingerprint }: Plan): unknown {
  if (!(error instanceof TrainError) || error.code !== 'WORKER_REFUSED_ENGINE') return error
  const here = /fingerprint ([0-9a-f]+)/.exec(error.message)?.[1] ?? 'another one'
  return new TrainError(
    'WORKER_REFUSED_ENGINE',
    `${directory.path} cannot be verified on this machine: it was computed by an engine with fingerprint ${fingerprint.slice(0, 12)}, the engine here has ${here} and rounds differently; verify it where it was trained, or on a machine of the same processor family with the same set-up`,
    { cause: error },
  )
}
