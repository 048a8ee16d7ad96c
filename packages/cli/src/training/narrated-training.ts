import { join } from 'node:path'
import type { InitializedLayer, TrainEvent } from '@lockstep/coordinator/train-event.js'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'
import type { Narrator } from '../terminal/narrator.js'
import { figuresOf } from './training-lines.js'

/** A training that is one of several: a moving bar, no lines of its own, and what it came to. */

export interface NarrationOptions {
  readonly signal?: AbortSignal | undefined
  /** Sees every event before it is shown. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined
  /** What a person is told when the signal ended it early. */
  readonly stopped: string
}

export interface TrainingOutcome {
  readonly summary: RunSummary
  readonly directory: string
  readonly parameters: number
  /** What came from a checkpoint, or null. */
  readonly initialized: readonly InitializedLayer[] | null
  /** Evaluations in order: [step, top-1]. */
  readonly course: readonly (readonly [step: number, top1: number])[]
  /** State digests by step, where the recipe asked for them. */
  readonly digests: ReadonlyMap<number, string>
}

/**
 * Follows a training to its end.
 * @param events of `train` or `resume`
 * @throws TrainError as `train` does; INTERRUPTED when the signal came
 */
export async function narrateTraining(
  events: AsyncIterable<TrainEvent>,
  { signal, onEvent, stopped }: NarrationOptions,
  narrator: Narrator,
): Promise<TrainingOutcome> {
  const losses: number[] = []
  const course: [number, number][] = []
  const digests = new Map<number, string>()
  let started: Extract<TrainEvent, { type: 'started' }> | undefined
  let ended: Extract<TrainEvent, { type: 'summary' }> | undefined
  try {
    for await (const event of events) {
      onEvent?.(event)
      if (event.type === 'started') started = event
      else if (event.type === 'summary') ended = event
      else if (event.type === 'evaluation') course.push([event.step, event.top1])
      else if (event.type === 'step') {
        losses.push(event.loss)
        if (event.stateDigest !== undefined) digests.set(event.step, event.stateDigest)
        narrator.progress(event.step, event.steps, figuresOf(event, losses, narrator.columns))
      } else sayOthers(event, narrator)
    }
  } finally {
    narrator.settle()
  }
  if (ended?.finished === false || (ended === undefined && signal?.aborted === true)) throw new TrainError('INTERRUPTED', stopped)
  invariant(started !== undefined && ended !== undefined, 'a training that ends has started and tells its summary')
  return {
    summary: ended.summary,
    directory: ended.directory,
    parameters: started.parameters,
    initialized: started.initialized,
    course,
    digests,
  }
}

function sayOthers(event: TrainEvent, narrator: Narrator): void {
  if (event.type === 'preparing') narrator.status(`   ${event.what} …`)
  else if (event.type === 'evaluating') narrator.status(`   evaluating ${String(event.done)}/${String(event.total)}`)
  else if (event.type === 'warning') narrator.line(`   warning: ${event.message}`)
  else if (event.type === 'note') narrator.line(`   note: ${event.message}`)
  else if (event.type === 'workerRefused') narrator.line(`   ${event.name} refused: ${event.reason}`)
  else if (event.type === 'waiting') narrator.status(`   ${event.reason}`)
}

/** The checkpoint with the best validation top-1 of a run's folder. */
export function bestCheckpoint(directory: string): string {
  return join(directory, 'checkpoints', 'best.safetensors')
}
