import { performance } from 'node:perf_hooks'
import { EvaluationLoader, type EvaluationBatch } from '@lockstep/data/evaluation-loader.js'
import { openFolder } from '@lockstep/data/open-folder.js'
import type { SampleSource } from '@lockstep/data/sample-folder.js'
import { openTrainingData, requireSameClasses } from '@lockstep/data/training-data.js'
import type { CheckpointMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { BatchResult } from '../engine/batch.js'
import type { Engine } from '../engine/engine.js'
import { openCheckpointEngine } from './checkpoint-engine.js'
import type { EvaluateRequest, EvaluationReport, StandaloneProgress } from './messages.js'

/**
 * Evaluates a checkpoint as a run does: the same fixed batches through the same {@link Engine.evaluate}, added in batch order.
 * @throws TrainError CHECKPOINT_INVALID, DATA_MISSING, DATA_CORRUPT, RECIPE_INVALID (other classes, scale too small)
 */
export async function evaluate(request: EvaluateRequest, onProgress: (progress: StandaloneProgress) => void): Promise<EvaluationReport> {
  const { engine, metadata, preprocessing } = await openCheckpointEngine(request.checkpoint)
  const scale = request.scale ?? preprocessing.scale
  if (scale < preprocessing.inputSize) {
    throw new TrainError(
      'USAGE',
      `a test scale of ${String(scale)} pixels is smaller than the network's input of ${String(preprocessing.inputSize)}; give at least that`,
    )
  }
  const opened = await openSource(request, metadata, preprocessing.classes)
  try {
    const batch = request.evaluationBatch ?? metadata.recipe.evaluation.batch
    const loader = new EvaluationLoader({ source: opened.source, preprocessing: { ...preprocessing, scale }, batch })
    const started = performance.now()
    const tally = await evaluateAll(engine, loader, preprocessing.classes.length, (done) => {
      onProgress({ done, total: opened.source.size })
    })
    return reportOf(tally, preprocessing.classes, (performance.now() - started) / 1000)
  } finally {
    await opened.close()
    engine.dispose()
  }
}

interface Source {
  readonly source: SampleSource
  readonly close: () => Promise<void>
}

async function openSource({ data }: EvaluateRequest, { recipe }: CheckpointMetadata, classes: readonly string[]): Promise<Source> {
  if (data === undefined) {
    const opened = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize: recipe.model.inputSize })
    return { source: opened.validation, close: () => opened.close() }
  }
  const folder = await openFolder(data)
  const close = (): Promise<void> => folder.close()
  try {
    requireSameClasses(classes, folder.description.classes, folder.path)
    return { source: folder, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Per class: samples, and right answers among the first and the first five. */
interface Tally {
  readonly sum: BatchResult
  readonly perClass: readonly { samples: number; top1: number; top5: number }[]
}

async function evaluateAll(engine: Engine, loader: EvaluationLoader, classes: number, onDone: (samples: number) => void): Promise<Tally> {
  const sum: BatchResult = { lossSum: 0, samples: 0, correctTop1: 0, correctTop5: 0 }
  const perClass = Array.from({ length: classes }, () => ({ samples: 0, top1: 0, top5: 0 }))
  let next: Promise<EvaluationBatch> | undefined = loader.batches > 0 ? loader.load(0) : undefined
  for (let index = 0; next !== undefined; index++) {
    const { images, labels, samples } = await next
    // The next batch's files are asked for before the engine blocks this thread.
    next = index + 1 < loader.batches ? loader.load(index + 1) : undefined
    next?.catch(() => undefined)
    const result = engine.evaluate(images, labels, samples, (sample, rank) => {
      const own = perClass[labels[sample] ?? -1]
      if (own === undefined) return
      own.samples++
      if (rank < 1) own.top1++
      if (rank < Math.min(5, classes)) own.top5++
    })
    sum.lossSum += result.lossSum
    sum.samples += result.samples
    sum.correctTop1 += result.correctTop1
    sum.correctTop5 += result.correctTop5
    onDone(sum.samples)
  }
  return { sum, perClass }
}

function reportOf({ sum, perClass }: Tally, classes: readonly string[], seconds: number): EvaluationReport {
  const { samples } = sum
  return {
    loss: sum.lossSum / samples,
    top1: sum.correctTop1 / samples,
    top5: sum.correctTop5 / samples,
    samples,
    perClass: perClass.map((own, index) => ({
      name: classes[index] ?? String(index),
      samples: own.samples,
      top1: own.samples === 0 ? 0 : own.top1 / own.samples,
      top5: own.samples === 0 ? 0 : own.top5 / own.samples,
    })),
    seconds,
  }
}
