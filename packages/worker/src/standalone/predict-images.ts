import { invariant } from '@lockstep/shared/errors/train-error.js'
import { askChild, type ChildOptions } from './child-process.js'
import type { Prediction, PredictRequest } from './messages.js'

/**
 * The most probable classes of pictures, computed in a process of its own.
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, DATA_MISSING, DATA_CORRUPT, USAGE, INTERRUPTED, MEMORY, ENGINE_UNAVAILABLE
 */
export async function predictImages(options: PredictRequest & ChildOptions): Promise<readonly Prediction[]> {
  const { checkpoints, images, top, views, ...child } = options
  const answer = await askChild({ kind: 'predict', checkpoints, images, top, views }, child)
  invariant(answer.type === 'predicted', 'a prediction is answered by predictions')
  return answer.predictions
}
