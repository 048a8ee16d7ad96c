import { invariant } from '@lockstep/shared/errors/train-error.js'
import { askChild, type ChildOptions } from './child-process.js'
import type { SignalReport, SignalRequest } from './messages.js'

/**
 * The scale of activations and gradients at initialization, a report a recipe, computed in a process of its own.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT, CHECKPOINT_INVALID, CHECKPOINT_MISMATCH, INTERRUPTED, MEMORY, ENGINE_UNAVAILABLE
 */
export async function measureInitialSignals(options: SignalRequest & ChildOptions): Promise<readonly SignalReport[]> {
  const { recipes, ...child } = options
  const answer = await askChild({ kind: 'signal', recipes }, child)
  invariant(answer.type === 'signals', 'a measurement of signals is answered by reports')
  return answer.reports
}
