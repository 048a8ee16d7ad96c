import { invariant } from '@lockstep/shared/errors/train-error.js'
import { askChild, type ChildOptions } from './child-process.js'
import type { Prediction, PredictRequest } from './messages.js'

/**
 * The most probable classes of pictures, computed in a process of its own.
 * @throws TrainError CHECKPOINT_INVALID, DATA_MISSING, DATA_CORRUPT, INTERRUPTED, MEMORY, ENGINE_UNAVAILABLE
 */
export async function predictImages(options: PredictRequest & ChildOptions): Promise<readonly Prediction[]> {
  const { checkpoint, images, top, ...child } = options
  const answer = await askChild({ kind: 'predict', checkpoint, images, top }, child)
  invariant(answer.type === 'predicted', 'a prediction is answered by predictions')
  return answer.predictions
}
