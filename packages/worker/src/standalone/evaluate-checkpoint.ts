import { invariant } from '@lockstep/shared/errors/train-error.js'
import { askChild, type ChildOptions } from './child-process.js'
import type { EvaluateRequest, EvaluationReport } from './messages.js'

/**
 * Loss and accuracy of a checkpoint, or of several together, on a data set, computed in a process of its own.
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, DATA_MISSING, DATA_CORRUPT, RECIPE_INVALID, USAGE, INTERRUPTED, MEMORY,
 *   ENGINE_UNAVAILABLE
 */
export async function evaluateCheckpoint(options: EvaluateRequest & ChildOptions): Promise<EvaluationReport> {
  const { checkpoints, data, views, evaluationBatch, ...child } = options
  const answer = await askChild({ kind: 'evaluate', checkpoints, data, views, evaluationBatch }, child)
  invariant(answer.type === 'evaluated', 'an evaluation is answered by a report')
  return answer.report
}
