import { BatchLoader } from '@lockstep/data/batch-loader.js'
import { openTrainingData } from '@lockstep/data/training-data.js'
import { withBasePictures } from '@lockstep/shared/initialization/base-pictures.js'
import { initialWeights } from '@lockstep/shared/initialization/initial-weights.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { Batch } from '../engine/batch.js'
import { Engine } from '../engine/engine.js'
import type { SignalReport, SignalRequest, StandaloneProgress } from './messages.js'

/**
 * How large activations and gradients are at initialization: each recipe's first micro-batch goes once forward and once
 * backward through its network, with dropout, as the first step of its training would.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT, CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, ENGINE_UNAVAILABLE
 */
export async function measureSignals(
  { recipes }: SignalRequest,
  onProgress: (progress: StandaloneProgress) => void,
): Promise<SignalReport[]> {
  const reports: SignalReport[] = []
  for (const recipe of recipes) {
    reports.push(await measureSignal(await withBasePictures(recipe)))
    onProgress({ done: reports.length, total: recipes.length })
  }
  return reports
}

async function measureSignal(recipe: Recipe): Promise<SignalReport> {
  const { batch, classes } = await firstBatch(recipe)
  const network = networkOf(recipe.model, classes)
  const layout = layoutOf(network)
  const weights = new Float32Array(layout.size)
  await initialWeights(recipe, network, layout, (entry, values) => weights.set(values, entry.offset))
  // B is the micro-batch here, so that gradients are those of its mean loss
  const { labelSmoothing } = recipe.loss
  const engine = await Engine.create({ network, layout, seed: recipe.seed, globalBatch: batch.count, labelSmoothing })
  try {
    engine.setWeights(weights)
    return signalOf(engine, network, layout, weights, batch)
  } finally {
    engine.dispose()
  }
}

async function firstBatch(recipe: Recipe): Promise<{ batch: Batch; classes: number }> {
  const { inputSize } = recipe.model
  const data = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize })
  try {
    const batch = await new BatchLoader({ data, recipe, inputSize }).training(0, recipe.batch.micro)
    return { batch, classes: data.classes.length }
  } finally {
    await data.close()
  }
}

function signalOf(engine: Engine, network: Network, layout: ParameterLayout, weights: Float32Array, batch: Batch): SignalReport {
  const activations = new Map<string, number | null>()
  engine.visitLayers(batch, (index, values) => {
    activations.set(network.layers[index]?.name ?? '', rootMeanSquare(values))
    return true
  })
  const gradients = new Map<string, number | null>()
  const { lossSum, samples } = engine.gradient(batch, (entry, values) => gradients.set(entry.name, rootMeanSquare(values)))
  return {
    input: rootMeanSquare(batch.images),
    loss: finite(lossSum / samples),
    layers: layout.entries
      .filter(({ kind }) => kind === 'kernel')
      .map((entry) => {
        const layer = entry.name.slice(0, entry.name.lastIndexOf('/'))
        return {
          layer,
          activation: activations.get(layer) ?? null,
          gradient: gradients.get(entry.name) ?? null,
          kernel: rootMeanSquare(weights.subarray(entry.offset, entry.offset + entry.size)),
        }
      }),
  }
}

/** √(Σ x² / n), added in float64; null when it is not finite. */
export function rootMeanSquare(values: Float32Array): number | null {
  let sum = 0
  for (const value of values) sum += value * value
  return finite(Math.sqrt(sum / values.length))
}

/** JSON knows no NaN and no infinity. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
