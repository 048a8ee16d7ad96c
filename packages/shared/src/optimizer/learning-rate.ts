import type { Recipe } from '../recipe/schema.js'

/**
 * The learning-rate schedule: pure, and its state small enough to be part of every checkpoint and of the state digest.
 * VGG paper, section 3.1: "decreased by a factor of 10 when the validation set accuracy stopped improving".
 */

export interface ScheduleState {
  /** ε after the drops so far, by repeated multiplication; warm-up and cosine are applied on top of it. */
  readonly rate: number
  readonly drops: number
  /** Best monitored value so far, or null before the first evaluation. */
  readonly best: number | null
  /** Evaluations since the best. */
  readonly withoutImprovement: number
  /** Version of the newest evaluation that counted. */
  readonly evaluatedVersion: number
  /** The plateau after the last drop was reached: the run is over. */
  readonly ended: boolean
}

export interface ValidationMetrics {
  readonly loss: number
  readonly top1: number
  readonly top5: number
}

/** A recipe's, and what is watched where its schedule watches nothing. */
export type LearningRateRecipe = Recipe['learningRate'] & { readonly watched?: 'top1' | 'loss' }

/** The state before the first step. */
export function initialSchedule(recipe: LearningRateRecipe): ScheduleState {
  return { rate: recipe.initial, drops: 0, best: null, withoutImprovement: 0, evaluatedVersion: 0, ended: false }
}

/**
 * ε of one step.
 * @param step from 0: the update that makes version step + 1
 * @param steps updates of the whole run (cosine reaches 0 there)
 */
export function rateOfStep(recipe: LearningRateRecipe, state: ScheduleState, step: number, steps: number): number {
  const warmup = step < recipe.warmupSteps ? (step + 1) / recipe.warmupSteps : 1
  if (recipe.schedule.type !== 'cosine') return state.rate * warmup
  const span = Math.max(1, steps - recipe.warmupSteps)
  const progress = Math.min(1, Math.max(0, step - recipe.warmupSteps) / span)
  return state.rate * warmup * 0.5 * (1 + Math.cos(Math.PI * progress))
}

/** The schedule once `version` updates are done: drops at given steps happen here. */
export function scheduleAfterStep(recipe: LearningRateRecipe, state: ScheduleState, version: number): ScheduleState {
  if (recipe.schedule.type !== 'steps') return state
  const due = recipe.schedule.at.filter((at) => at === version).length
  return due === 0 ? state : dropped(state, recipe.schedule.factor, due)
}

/** The schedule after an evaluation of `version`: a plateau drops the rate, and the one after the last drop ends the run. */
export function scheduleAfterEvaluation(
  recipe: LearningRateRecipe,
  state: ScheduleState,
  version: number,
  metrics: ValidationMetrics,
): ScheduleState {
  const seen = { ...state, evaluatedVersion: version }
  const { schedule } = recipe
  const monitor = monitorOf(recipe)
  const value = metrics[monitor]
  if (state.best === null || improves(monitor, value, state.best, schedule.type === 'plateau' ? schedule.minDelta : 0)) {
    return { ...seen, best: value, withoutImprovement: 0 }
  }
  if (schedule.type !== 'plateau') return { ...seen, withoutImprovement: state.withoutImprovement + 1 }
  const withoutImprovement = state.withoutImprovement + 1
  if (withoutImprovement < schedule.patience) return { ...seen, withoutImprovement }
  if (state.drops < schedule.maxDrops) return { ...dropped(seen, schedule.factor, 1), withoutImprovement: 0 }
  return { ...seen, withoutImprovement, ended: schedule.thenStop }
}

/** The validation metric that says which checkpoint is the best. */
export function monitorOf(recipe: LearningRateRecipe): keyof ValidationMetrics {
  return recipe.schedule.type === 'plateau' ? recipe.schedule.monitor : (recipe.watched ?? 'top1')
}

function improves(monitor: keyof ValidationMetrics, value: number, best: number, minDelta: number): boolean {
  return monitor === 'loss' ? value < best - minDelta : value > best + minDelta
}

function dropped(state: ScheduleState, factor: number, times: number): ScheduleState {
  let rate = state.rate
  for (let time = 0; time < times; time++) rate *= factor
  return { ...state, rate, drops: state.drops + times }
}
