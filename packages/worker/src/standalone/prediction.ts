import { predictionBatch } from '@lockstep/data/prediction-input.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { addAverage, averageOf, outputAverage } from '../evaluation/batch-evaluation.js'
import { ValueAverage } from '../evaluation/value-average.js'
import { openCheckpointEngine } from './checkpoint-engine.js'
import { describeCheckpoints } from './described-checkpoint.js'
import type { Prediction, PredictRequest, StandaloneProgress } from './messages.js'

/**
 * What a checkpoint, or several together, see in pictures. One picture at a time: bits depend on the batch, and a picture's answer should
 * not depend on its neighbours.
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, DATA_MISSING, DATA_CORRUPT naming the picture, USAGE
 */
export async function predict(request: PredictRequest, onProgress: (progress: StandaloneProgress) => void): Promise<Prediction[]> {
  const { images, top } = request
  const checkpoints = await describeCheckpoints(request.checkpoints, request.views)
  const [first] = checkpoints
  invariant(first !== undefined, 'there is a checkpoint to predict with')
  const { classes } = first.preprocessing
  const fused = outputAverage(images.length, { classes: classes.length, targets: first.metadata.network.targets })
  let done = 0
  for (const { path, preprocessing, views } of checkpoints) {
    const engine = await openCheckpointEngine(path)
    for (const [index, image] of images.entries()) {
      const average = await averageOf(engine, await predictionBatch(image, preprocessing, views))
      addAverage(fused, average, 1 / checkpoints.length, index)
      onProgress({ done: ++done, total: images.length * checkpoints.length })
    }
    engine.dispose()
  }
  return images.map((image, index) => {
    if (fused instanceof ValueAverage) return { image, classes: [], value: fused.values[index] ?? Number.NaN }
    const ofImage = fused.probabilities.subarray(index * classes.length, (index + 1) * classes.length)
    return { image, classes: mostProbable(ofImage, classes, top) }
  })
}

/** The `top` most probable classes; of equals the one with the lower number first. */
export function mostProbable(probabilities: Float32Array | Float64Array, classes: readonly string[], top: number): Prediction['classes'] {
  return classes
    .map((name, index) => ({ name, probability: probabilities[index] ?? 0 }))
    .sort((left, right) => right.probability - left.probability)
    .slice(0, top)
}
