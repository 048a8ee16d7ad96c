import type { Preprocessing } from '@lockstep/data/preprocessing.js'
import { openCheckpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import type { CheckpointMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { checkpointViews, requireEqualClasses } from './checkpoint-views.js'
import type { ViewsRequest } from './messages.js'

/** What a checkpoint says of itself, before its weights are read. */
export interface DescribedCheckpoint {
  readonly path: string
  readonly metadata: CheckpointMetadata
  readonly preprocessing: Preprocessing
  readonly views: EvaluationViews
}

/**
 * Reads what checkpoints say of themselves and checks that they fit together and can look at pictures as asked.
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH (other classes), USAGE and RECIPE_INVALID (see checkpointViews)
 */
export async function describeCheckpoints(paths: readonly string[], request: ViewsRequest | undefined): Promise<DescribedCheckpoint[]> {
  const described: DescribedCheckpoint[] = []
  for (const path of paths) {
    const checkpoint = await openCheckpoint(path)
    await checkpoint.close()
    const { metadata } = checkpoint
    const preprocessing = preprocessingOf(metadata, path)
    described.push({ path, metadata, preprocessing, views: checkpointViews(metadata, preprocessing, request) })
  }
  requireEqualTasks(described)
  requireEqualClasses(described.map(({ path, preprocessing }) => ({ path, classes: preprocessing.classes })))
  return described
}

function preprocessingOf({ preprocessing, network }: CheckpointMetadata, path: string): Preprocessing {
  const { inputSize, scale, normalize, mean, std, greyStd, classes } = preprocessing
  const isColor = (value: unknown): boolean => Array.isArray(value) && value.length === 3 && value.every((part) => typeof part === 'number')
  const whole =
    inputSize === network.inputShape[0] &&
    typeof scale === 'number' &&
    (normalize === 'mean' || normalize === 'meanAndStd') &&
    isColor(mean) &&
    isColor(std) &&
    typeof greyStd === (network.inputShape[2] === 1 ? 'number' : 'undefined') &&
    Array.isArray(classes) &&
    classes.length === network.classes
  if (!whole) {
    throw new TrainError('CHECKPOINT_INVALID', `${path} does not say how its pictures were prepared; use another checkpoint`)
  }
  return preprocessing as unknown as Preprocessing
}

/** @throws TrainError CHECKPOINT_MISMATCH when one says a value and another classes */
function requireEqualTasks(described: readonly DescribedCheckpoint[]): void {
  const isValue = ({ metadata }: DescribedCheckpoint): boolean => metadata.network.task === 'regression'
  const [first] = described
  const other = described.find((one) => first !== undefined && isValue(one) !== isValue(first))
  if (first === undefined || other === undefined) return
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `${first.path} and ${other.path} cannot be averaged: one says a value, the other classes; name checkpoints of one task`,
  )
}
