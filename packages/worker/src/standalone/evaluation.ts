import { performance } from 'node:perf_hooks'
import type { EvaluationBatch } from '@lockstep/data/evaluation-batch.js'
import { chooseClasses } from '@lockstep/data/chosen-classes.js'
import { EvaluationLoader } from '@lockstep/data/evaluation-loader.js'
import { openFolder } from '@lockstep/data/open-folder.js'
import type { SampleSource } from '@lockstep/data/sample-folder.js'
import { openTrainingData, requireSameClasses } from '@lockstep/data/training-data.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { resultOf, type BatchResult } from '../engine/batch.js'
import type { Engine } from '../engine/engine.js'
import { addAverage, averageOf, evaluateBatch, outputAverage } from '../evaluation/batch-evaluation.js'
import { OutcomeTally } from '../evaluation/outcome-tally.js'
import { openCheckpointEngine } from './checkpoint-engine.js'
import { describeCheckpoints, type DescribedCheckpoint } from './described-checkpoint.js'
import type { EvaluateRequest, EvaluationReport, StandaloneProgress } from './messages.js'

/**
 * Evaluates a checkpoint as a run does: the same fixed batches through the same {@link evaluateBatch}, added in batch order. Of several
 * checkpoints the soft-max outputs are averaged, each computed as it would be alone; one is in memory at a time.
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, DATA_MISSING, DATA_CORRUPT, RECIPE_INVALID (other classes), USAGE
 */
export async function evaluate(request: EvaluateRequest, onProgress: (progress: StandaloneProgress) => void): Promise<EvaluationReport> {
  const checkpoints = await describeCheckpoints(request.checkpoints, request.views)
  const [first] = checkpoints
  invariant(first !== undefined, 'there is a checkpoint to evaluate')
  const { classes } = first.preprocessing
  const opened = await openSource(request, first)
  try {
    const started = performance.now()
    const tally = new OutcomeTally(classes.length)
    const parts = { source: opened.source, request, tally, classes: classes.length, onProgress }
    const sum = checkpoints.length === 1 ? await evaluateOne(first, parts) : await evaluateTogether(checkpoints, parts)
    const seconds = (performance.now() - started) / 1000
    return reportOf({
      sum,
      tally,
      classes,
      isValue: first.metadata.network.task === 'regression',
      views: checkpoints.map(({ views }) => views),
      seconds,
    })
  } finally {
    await opened.close()
  }
}

interface Source {
  readonly source: SampleSource
  readonly close: () => Promise<void>
}

async function openSource({ data }: EvaluateRequest, { metadata, preprocessing }: DescribedCheckpoint): Promise<Source> {
  const { recipe } = metadata
  if (data === undefined) {
    const opened = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize: recipe.model.inputSize })
    return { source: opened.validation, close: () => opened.close() }
  }
  const folder = await openFolder(data)
  const close = (): Promise<void> => folder.close()
  try {
    // a run on some classes of a folder is looked at on the same of another
    const { classes, source } = chooseClasses(folder, recipe.data.classes)
    requireSameClasses(preprocessing.classes, classes, folder.path)
    return { source, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Parts {
  readonly source: SampleSource
  readonly request: EvaluateRequest
  readonly tally: OutcomeTally
  readonly classes: number
  readonly onProgress: (progress: StandaloneProgress) => void
}

async function evaluateOne(checkpoint: DescribedCheckpoint, { tally, source, request, onProgress }: Parts): Promise<BatchResult> {
  const sum: BatchResult = { lossSum: 0, samples: 0, correctTop1: 0, correctTop5: 0 }
  await eachBatch(checkpoint, source, request, async (engine, batch) => {
    const { labels, samples } = batch
    const before = sum.samples
    const result = await evaluateBatch(engine, batch, {
      onSample: (sample, rank, predicted, loss) => tally.count(labels[sample] ?? -1, rank, predicted, loss),
      onForward: (done) => onProgress({ done: before + share(done, batch), total: source.size }),
    })
    sum.lossSum += result.lossSum
    sum.samples += samples
    sum.correctTop1 += result.correctTop1
    sum.correctTop5 += result.correctTop5
  })
  return sum
}

/** Fusion (Simonyan & Zisserman 2014, section 4.4): the mean of the networks' soft-max outputs. */
async function evaluateTogether(
  checkpoints: readonly DescribedCheckpoint[],
  { source, request, tally, classes, onProgress }: Parts,
): Promise<BatchResult> {
  const fused = outputAverage(source.size, { classes, targets: checkpoints[0]?.metadata.network.targets })
  const labels = Int32Array.from({ length: source.size }, (_, sample) => source.label(sample))
  const total = source.size * checkpoints.length
  for (const [index, checkpoint] of checkpoints.entries()) {
    let first = 0
    await eachBatch(checkpoint, source, request, async (engine, batch) => {
      const before = index * source.size + first
      const average = await averageOf(engine, batch, { onForward: (done) => onProgress({ done: before + share(done, batch), total }) })
      addAverage(fused, average, 1 / checkpoints.length, first)
      first += batch.samples
    })
  }
  return resultOf(fused.ranked, fused.losses(labels), labels, source.size, classes, (sample, rank, predicted, loss) =>
    tally.count(labels[sample] ?? -1, rank, predicted, loss),
  )
}

/** Pictures of a batch that so many of its forward passes come to. */
function share(done: number, { samples, forwards }: EvaluationBatch): number {
  return Math.floor((samples * done) / forwards)
}

async function eachBatch(
  { path, preprocessing, metadata, views }: DescribedCheckpoint,
  source: SampleSource,
  { evaluationBatch }: EvaluateRequest,
  work: (engine: Engine, batch: EvaluationBatch) => Promise<void>,
): Promise<void> {
  const engine = await openCheckpointEngine(path)
  try {
    const loader = new EvaluationLoader({ source, preprocessing, views, batch: evaluationBatch ?? metadata.recipe.evaluation.batch })
    let next: Promise<EvaluationBatch> | undefined = loader.batches > 0 ? loader.load(0) : undefined
    for (let index = 0; next !== undefined; index++) {
      const batch = await next
      // The next batch's files are asked for before the engine blocks this thread.
      next = index + 1 < loader.batches ? loader.load(index + 1) : undefined
      next?.catch(() => undefined)
      await work(engine, batch)
    }
  } finally {
    engine.dispose()
  }
}

interface Outcome {
  readonly sum: BatchResult
  readonly tally: OutcomeTally
  readonly classes: readonly string[]
  /** Of a regression. */
  readonly isValue: boolean
  readonly views: readonly EvaluationViews[]
  readonly seconds: number
}

function reportOf({ sum, tally, classes, isValue, views, seconds }: Outcome): EvaluationReport {
  const { samples, correctTop1, correctTop5 } = sum
  return {
    views,
    loss: sum.lossSum / samples,
    ...(isValue ? { meanAbsoluteError: tally.rootLossSum / samples } : {}),
    top1: correctTop1 / samples,
    top5: correctTop5 / samples,
    ...{ samples, correctTop1, correctTop5 },
    perClass: tally.perClass.map((own, index) => ({
      name: classes[index] ?? String(index),
      samples: own.samples,
      top1: own.samples === 0 ? 0 : own.top1 / own.samples,
      top5: own.samples === 0 ? 0 : own.top5 / own.samples,
    })),
    confusion: tally.confusion,
    seconds,
  }
}
