import { BatchLoader } from '@lockstep/data/batch-loader.js'
import type { DataDigests } from '@lockstep/data/data-digests.js'
import type { EvaluationBatch } from '@lockstep/data/evaluation-batch.js'
import { evaluationViews, preprocessingOf } from '@lockstep/data/preprocessing.js'
import { openTrainingData, type TrainingData } from '@lockstep/data/training-data.js'
import { baseFeatures } from '@lockstep/shared/models/base-features.js'
import { channelsOf } from '@lockstep/shared/models/families.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { trainedPart, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { Welcome__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Welcome.js'
import { recipeDigest } from '@lockstep/shared/recipe/recipe-digest.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { findFrozen } from './frozen-weights.js'
import { ComputeClient } from './compute/compute-client.js'
import type { MicroBatch } from './compute/compute-messages.js'
import { WeightsMemory } from './compute/weights-memory.js'
import { CachedFeatures } from './features/cached-features.js'
import { featureKey } from './features/feature-key.js'
import { Prefetch } from './loader/prefetch.js'
import { prefetchCapacity } from './loader/span-batches.js'
import { SlotPool } from './span-loop/slot-pool.js'
import type { WorkerLog } from './worker-log.js'

/** Spans kept between two heartbeats, and while nobody is told of them. */
const SPANS_KEPT = 2000

/** What the coordinator is shown at a join. */
interface Probe {
  readonly fingerprint: string
  readonly leafSeconds: number
  /** Not shown: it names cached features on this machine. */
  readonly features?: string
}

/**
 * What a worker needs for a recipe: its data, its engine, its memory. Expensive, and the same in every membership of a
 * run, so it is kept when the worker joins again.
 */
export interface Preparation {
  /** Two welcomes with the same key need the same preparation. */
  readonly key: string
  readonly recipe: Recipe
  readonly recipeDigest: string
  readonly data: TrainingData
  /** What is trained and travels. */
  readonly layout: ParameterLayout
  /** Where the whole flat weights vector lies. */
  readonly weights: WeightsMemory
  readonly compute: ComputeClient
  readonly slots: SlotPool
  readonly training: Prefetch<MicroBatch>
  readonly evaluation: Prefetch<EvaluationBatch>
  /** Where everything notes what it did when; off until a membership turns it on. */
  readonly spans: SpanRecorder
  /** As last measured. */
  readonly probe: Probe
  /** Computes the probe once more: this machine may have become slower since. Overwrites the engine's weights. */
  measureAgain(): Promise<Probe>
  close(): Promise<void>
}

/** The part of a welcome that says what has to be prepared; a resumed run may have another `run:` part and needs nothing new. */
export function preparationKey(welcome: Welcome__Output): string {
  const { train, validation } = recipeOf(welcome.recipeJson).data
  return JSON.stringify([welcome.recipeDigest, train, validation, welcome.dataJson])
}

/**
 * Opens the data, starts the compute thread and lets it compute the probe.
 * @param directory the worker's own --data
 * @throws TrainError DATA_MISSING, DATA_CORRUPT, WORKER_REFUSED_DATA, WORKER_REFUSED_RECIPE, ENGINE_UNAVAILABLE, MEMORY
 */
export async function prepare(welcome: Welcome__Output, directory: string | undefined, log: WorkerLog): Promise<Preparation> {
  const recipe = recipeOf(welcome.recipeJson)
  const { digests } = JSON.parse(welcome.dataJson) as { digests: DataDigests }
  const { inputSize } = recipe.model
  const data = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize, directory, expected: digests })
  try {
    const network = networkOf(recipe.model, data.classes.length)
    const layout = trainedPart(layoutOf(network))
    const frozen = await findFrozen(recipe.model, network, directory)
    const weights = WeightsMemory.create(layout.size)
    const compute = await ComputeClient.start({ recipe, classes: data.classes.length, weights: weights.memory, frozen })
    let probe: Probe = await compute.probe()
    log.info({ parameters: layout.size, tensorflow: compute.tensorflow, ...probe }, 'the engine is ready')
    const channels = channelsOf(recipe.model)
    const loader = new BatchLoader({ data, recipe, inputSize, channels })
    const { micro, global } = recipe.batch
    const spans = new SpanRecorder(SPANS_KEPT)
    const sampleBytes = inputSize * inputSize * channels * Float32Array.BYTES_PER_ELEMENT
    const cached =
      probe.features === undefined ? undefined : await cachedFeatures({ recipe, network, data, loader, compute, log }, probe.features)
    return {
      ...{ spans, key: preparationKey(welcome), recipe, recipeDigest: recipeDigest(recipe), data, layout, weights, compute },
      get probe() {
        return probe
      },
      measureAgain: async () => (probe = await compute.probe()),
      slots: new SlotPool(),
      training: new Prefetch({
        load: async (position) => {
          const step = Math.floor(position / global)
          const name = `samples ${String(position - step * global)} and after`
          return await spans.time({ track: 'load', kind: 'load', name, step }, () => (cached ?? loader).training(position, micro))
        },
        capacity: prefetchCapacity(micro, sampleBytes),
        concurrency: 1,
      }),
      evaluation: new Prefetch({
        load: async (batch) => {
          const name = `evaluation batch ${String(batch)}`
          return await spans.time({ track: 'load', kind: 'load', name, step: spans.latestStep }, () => loader.evaluation(batch))
        },
        capacity: Math.min(3, prefetchCapacity(recipe.evaluation.batch, Math.max(sampleBytes, pictureBytes(recipe, inputSize)))),
        concurrency: 1,
      }),
      close: async () => {
        await compute.terminate()
        await data.close()
      },
    }
  } catch (error) {
    await data.close()
    throw error
  }
}

type FeatureParts = Pick<Preparation, 'recipe' | 'data' | 'compute'> & {
  readonly network: Network
  readonly loader: BatchLoader
  readonly log: WorkerLog
}

/** Before this worker says that it is ready: nothing waits for a step meanwhile. @param engine digest of the base's output in the probe */
async function cachedFeatures({ network, ...parts }: FeatureParts, engine: string): Promise<CachedFeatures> {
  const { recipe, data } = parts
  const shape = baseFeatures(network)?.shape ?? []
  const key = featureKey({ recipe, network, data: data.digests, preprocessing: preprocessingOf(recipe, data), engine })
  const features = new CachedFeatures({ ...parts, key, shape, batch: recipe.batch.micro, samples: data.train.size })
  await features.complete()
  return features
}

/** Of a validation picture decoded at every scale, half as long again as it is high. */
function pictureBytes(recipe: Recipe, inputSize: number): number {
  return evaluationViews(recipe, inputSize).scales.reduce((sum, scale) => sum + scale * scale * 1.5 * 3, 0)
}

/** The recipe of a welcome. @throws TrainError WORKER_REFUSED_RECIPE */
export function recipeOf(json: string): Recipe {
  const parsed = recipeSchema.safeParse(JSON.parse(json))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new TrainError(
    'WORKER_REFUSED_RECIPE',
    `this worker does not understand the run's recipe (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}): install the coordinator's version of Lockstep here`,
  )
}
