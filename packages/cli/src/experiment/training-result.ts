import type { Evaluation, TrainingCourse } from './training-course.js'
import type { PlannedTraining } from './training-plan.js'

/** What one training of the experiment came to. Pure. */

export interface TrainingResult extends PlannedTraining, TrainingCourse {
  /** Id of the training of A whose layers it began with; null where all its weights were random. */
  readonly source: string | null
  /** null: it went to its end; else what was not finite, in words. */
  readonly diverged: string | null
  readonly parameters: number
  /** Multiply-adds of all its steps. */
  readonly work: number
  /** SHA-256 of the state after the last step; null when it diverged. */
  readonly stateDigest: string | null
}

/** What guessing comes to, on the validation pictures. */
export interface Chance {
  /** Share of the largest class, 0–1. */
  readonly top1: number
  readonly pictures: number
}

export type Fate = 'learns' | 'stalls' | 'diverges'

/** Standard errors above the largest class's share that count as more than chance. */
const BEYOND_CHANCE = 3

/** The top-1 that a network which only guesses hardly ever reaches by luck. */
export function chanceCeiling({ top1, pictures }: Chance): number {
  return top1 + BEYOND_CHANCE * Math.sqrt((top1 * (1 - top1)) / pictures)
}

/** diverges: a loss or weight was not finite; stalls: no evaluation was above chance; learns: one was. */
export function fateOf(result: Pick<TrainingResult, 'diverged' | 'evaluations'>, chance: Chance): Fate {
  if (result.diverged !== null) return 'diverges'
  return result.evaluations.some(({ top1 }) => top1 > chanceCeiling(chance)) ? 'learns' : 'stalls'
}

/** The last evaluation of a training that went to its end. */
export function finalEvaluation(result: Pick<TrainingResult, 'diverged' | 'evaluations'>): Evaluation | undefined {
  return result.diverged === null ? result.evaluations.at(-1) : undefined
}

/** Of the trainings that went to their end the one with the least top-1 error, the first of equals; undefined when there is none. */
export function bestOf(results: readonly TrainingResult[]): TrainingResult | undefined {
  const top1Of = (result: TrainingResult): number => finalEvaluation(result)?.top1 ?? -1
  const ended = results.filter((result) => finalEvaluation(result) !== undefined)
  return ended.reduce<TrainingResult | undefined>((best, one) => (best === undefined || top1Of(one) > top1Of(best) ? one : best), undefined)
}
