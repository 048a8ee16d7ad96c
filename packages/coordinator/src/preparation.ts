import type { DataDigests } from '@lockstep/data/data-digests.js'
import { preprocessingOf, type Preprocessing } from '@lockstep/data/preprocessing.js'
import { openTrainingData, type TrainingData } from '@lockstep/data/training-data.js'
import { openCheckpoint, type Checkpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { withBasePictures } from '@lockstep/shared/initialization/base-pictures.js'
import { readFrozen, type FrozenWeights } from '@lockstep/shared/initialization/base-weights.js'
import { checkTransfer } from '@lockstep/shared/initialization/initial-weights.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { initialSchedule, type ScheduleState } from '@lockstep/shared/optimizer/learning-rate.js'
import { trainedPart, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { loadRecipe, recipeDigest, recipeText, resolveRecipe } from '@lockstep/shared/recipe/load.js'
import { withDefaults } from '@lockstep/shared/recipe/resolved-recipe.js'
import { changeForResume } from '@lockstep/shared/recipe/resume-changes.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { withTargets } from '@lockstep/shared/recipe/targets.js'
import { withOwnNetwork } from './own-network/own-network.js'
import { RunDirectory } from './run-directory/run-directory.js'
import type { RunPlan } from './run-loop/run-state.js'
import type { TrainEvent } from './train-event.js'

/** Everything that is known before the first process is started: checked, locked, and nothing of it random. */
export interface Preparation {
  readonly recipe: Recipe
  readonly recipeDigest: string
  readonly dataDigest: string
  readonly dataDigests: DataDigests
  readonly network: Network
  /** What is trained and travels. */
  readonly layout: ParameterLayout
  /** What is not, or null. */
  readonly frozen: FrozenWeights | null
  readonly plan: RunPlan
  readonly preprocessing: Preprocessing
  readonly directory: RunDirectory
  readonly term: number
  /** Updates done. */
  readonly version: number
  readonly schedule: ScheduleState
  /** To be closed by whoever reads it; null for a new run. */
  readonly checkpoint: Checkpoint | null
  /** Engine recorded in the checkpoint, or null. */
  readonly fingerprint: string | null
  /** Only when an earlier training is computed again to compare digests. */
  readonly replay?: Replay
}

/** What a replay listens for; see verify.ts. */
export interface Replay {
  /** By updates done: further bytes that a digest of that version is to end with, as a checkpoint's does. */
  readonly suffixes: ReadonlyMap<number, Uint8Array>
  /** Called after every step. @param ofStep stateDigest as metrics have it; @param ofCheckpoint with the version's suffix */
  readonly onStep: (step: number, ofStep: string | null, ofCheckpoint: string | null) => void
}

export interface PrepareOptions {
  /** Folder for this run, instead of `base/NAME`. */
  readonly runDirectory?: string | undefined
  readonly base?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly emit: (event: TrainEvent) => void
}

/**
 * A new run: recipe and data are checked before a folder is made.
 * @throws TrainError RECIPE_INVALID, DATA_MISSING, DATA_CORRUPT, USAGE, DISK, INTERRUPTED
 */
export async function prepareRun(source: Recipe | string, options: PrepareOptions): Promise<Preparation> {
  const complete = withDefaults(typeof source === 'string' ? (await loadRecipe(source)).recipe : source)
  const described = await describe(await withBasePictures(complete), options)
  const { recipe } = described
  // a checkpoint that does not fit is found before a folder is made
  await checkTransfer(recipe, described.network)
  const directory = await RunDirectory.create({
    name: recipe.name,
    ...(options.base === undefined ? {} : { base: options.base }),
    ...(options.runDirectory === undefined ? {} : { path: options.runDirectory }),
  })
  await directory.lock()
  const term = await directory.nextTerm()
  await directory.writeRecipe(recipeText(recipe))
  return { ...described, directory, term, version: 0, schedule: initialSchedule(recipe.learningRate), checkpoint: null, fingerprint: null }
}

/**
 * An earlier run, from its newest whole checkpoint.
 * @param set changes under `run`, and a larger `steps`
 * @throws TrainError RUN_MISSING, RUN_LOCKED, CHECKPOINT_INVALID, RECIPE_INVALID, DATA_MISSING, DATA_CORRUPT, INTERRUPTED
 */
export async function prepareResume(run: string | undefined, set: readonly string[], options: PrepareOptions): Promise<Preparation> {
  const directory = await RunDirectory.open(run, options.base)
  await directory.lock()
  let checkpoint: Checkpoint | undefined
  try {
    const loaded = await loadRecipe(directory.recipePath)
    checkpoint = await newestCheckpoint(directory, options.emit)
    const described = await describe(withDefaults(changeForResume(loaded.recipe, set)), options)
    const { recipe } = described
    const { metadata } = checkpoint
    if (metadata.dataDigest !== described.dataDigest) {
      throw new TrainError(
        'DATA_CORRUPT',
        `the data set of ${directory.path} has changed since it was trained on (digest ${described.dataDigest.slice(0, 12)}, was ${metadata.dataDigest.slice(0, 12)}): put the old pictures back, or start a new run`,
      )
    }
    const term = await directory.nextTerm()
    await directory.writeRecipe(recipeText(recipe))
    return {
      ...described,
      directory,
      term,
      version: metadata.step,
      schedule: metadata.schedule as ScheduleState,
      checkpoint,
      fingerprint: metadata.fingerprint,
    }
  } catch (error) {
    await checkpoint?.close()
    await directory.unlock()
    throw error
  }
}

export type Described = Omit<Preparation, 'directory' | 'term' | 'version' | 'schedule' | 'checkpoint' | 'fingerprint'>

/**
 * What follows from the recipe and its data. The recipe that comes back states the digest of what is not trained, and the layers of a
 * network of the user's own.
 * @throws TrainError RECIPE_INVALID, DATA_MISSING, DATA_CORRUPT; the signal's reason
 */
export async function describe(recipe: Recipe, options: PrepareOptions): Promise<Described> {
  const { emit, signal } = options
  const data = await openTrainingData(recipe.data, {
    seed: recipe.seed,
    inputSize: recipe.model.inputSize,
    onProgress: ({ what, done, total }) => {
      emit({ type: 'preparing', what, done, total })
    },
  })
  try {
    signal?.throwIfAborted()
    recipe = withTargets(recipe, data.classes)
    recipe = await withOwnNetwork(recipe, data.classes.length, { onNote: (message) => emit({ type: 'note', message }), signal })
    const network = networkOf(recipe.model, data.classes.length)
    const frozen = await frozenOf(recipe, network)
    if (frozen !== null) recipe = { ...recipe, model: { ...recipe.model, weightsDigest: frozen.digest } }
    return {
      recipe,
      recipeDigest: recipeDigest(recipe),
      dataDigest: data.digest,
      dataDigests: data.digests,
      network,
      layout: trainedPart(layoutOf(network)),
      frozen,
      plan: planOf(recipe, data),
      preprocessing: preprocessingOf(recipe, data),
    }
  } finally {
    await data.close()
  }
}

async function frozenOf(recipe: Recipe, network: Network): Promise<FrozenWeights | null> {
  const { weights, trainable } = recipe.model
  if (weights === undefined || trainable !== false) return null
  // says more of a file that does not fit than reading it would
  await checkTransfer(recipe, network)
  return await readFrozen(recipe.model, network, weights)
}

function planOf(recipe: Recipe, data: TrainingData): RunPlan {
  const { steps, leaves, evaluationEvery } = resolveRecipe(recipe, data.train.size)
  return {
    leaves,
    globalBatch: recipe.batch.global,
    steps,
    evaluationEvery,
    evaluationBatches: Math.ceil(data.validation.size / recipe.evaluation.batch),
    checkpointEvery: recipe.run.checkpoint.everySteps,
    minimumWorkers: recipe.run.workers.minimum,
    learningRate: { ...recipe.learningRate, ...(recipe.model.task === 'regression' ? { watched: 'loss' } : {}) },
    nonFinite: recipe.nonFinite,
    evenSpans: recipe.run.exchange.precision !== 'float32',
    audit: { seed: recipe.seed, share: recipe.audit.share },
  }
}

/** The newest checkpoint whose digest is right; newer ones that are damaged are named and passed over. */
async function newestCheckpoint(directory: RunDirectory, emit: (event: TrainEvent) => void): Promise<Checkpoint> {
  const found = await directory.checkpoints()
  const broken: string[] = []
  for (const { path } of found) {
    try {
      const checkpoint = await openCheckpoint(path)
      emit({ type: 'preparing', what: 'checking the checkpoint' })
      await checkpoint.verify()
      return checkpoint
    } catch (error) {
      if (!(error instanceof TrainError)) throw error
      broken.push(error.message)
      emit({ type: 'warning', message: error.message })
    }
  }
  const reason = broken[0] === undefined ? 'it has no checkpoint yet' : `no checkpoint is whole (${broken[0]})`
  throw new TrainError(
    'CHECKPOINT_INVALID',
    `${directory.path} cannot be resumed: ${reason}; start it anew with lockstep train ${directory.recipePath}`,
  )
}
