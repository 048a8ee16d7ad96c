import { decodeForPrediction } from '@lockstep/data/prediction-input.js'
import { openCheckpointEngine } from './checkpoint-engine.js'
import type { Prediction, PredictRequest, StandaloneProgress } from './messages.js'

/**
 * What a checkpoint sees in pictures. One picture at a time: bits depend on the batch, and a picture's answer should not
 * depend on its neighbours.
 * @throws TrainError CHECKPOINT_INVALID, DATA_MISSING, DATA_CORRUPT naming the picture
 */
export async function predict(request: PredictRequest, onProgress: (progress: StandaloneProgress) => void): Promise<Prediction[]> {
  const { engine, preprocessing } = await openCheckpointEngine(request.checkpoint)
  const predictions: Prediction[] = []
  for (const image of request.images) {
    const probabilities = engine.predict(await decodeForPrediction(image, preprocessing), 1)
    predictions.push({ image, classes: mostProbable(probabilities, preprocessing.classes, request.top) })
    onProgress({ done: predictions.length, total: request.images.length })
  }
  engine.dispose()
  return predictions
}

/** The `top` most probable classes; of equals the one with the lower number first. */
export function mostProbable(probabilities: Float32Array, classes: readonly string[], top: number): Prediction['classes'] {
  return classes
    .map((name, index) => ({ name, probability: probabilities[index] ?? 0 }))
    .sort((left, right) => right.probability - left.probability)
    .slice(0, top)
}
