import { invariant } from '@lockstep/shared/errors/train-error.js'
import { askChild, type ChildOptions } from './child-process.js'
import type { EvaluateRequest, EvaluationReport } from './messages.js'

/**
 * Loss and accuracy of a checkpoint on a data set, computed in a process of its own.
 * @throws TrainError CHECKPOINT_INVALID, DATA_MISSING, DATA_CORRUPT, RECIPE_INVALID, INTERRUPTED, MEMORY, ENGINE_UNAVAILABLE
 */
export async function evaluateCheckpoint(options: EvaluateRequest & ChildOptions): Promise<EvaluationReport> {
  const { checkpoint, data, protocol, scale, evaluationBatch, ...child } = options
  const answer = await askChild({ kind: 'evaluate', checkpoint, data, protocol, scale, evaluationBatch }, child)
  invariant(answer.type === 'evaluated', 'an evaluation is answered by a report')
  return answer.report
}
