import { TrainError } from '../errors/train-error.js'
import { inconsistencies } from './consistency.js'
import type { Recipe } from './schema.js'

/** A recipe turned into counts, once the size of the training set is known. */
export interface ResolvedRecipe {
  /** updates in all */
  steps: number
  /** M, leaves a step */
  leaves: number
  /** micro-batches a step, B / b */
  microBatches: number
  /** training pictures / B; seldom whole */
  stepsPerEpoch: number
  /** steps between evaluations, at least 1 */
  evaluationEvery: number
  /** test scales Q: smallest side in evaluation and prediction, pixels */
  scales: number[]
  /** training scale S: [from, to] of the smallest side in training, pixels; equal when it is fixed */
  shortSide: [number, number]
  normalize: 'mean' | 'meanAndStd'
}

/**
 * The counts that follow from a recipe and the number of training pictures.
 * @param trainSize pictures in the training set (after the split), at least 1
 * @throws TrainError RECIPE_INVALID when keys contradict each other; a batch that does not divide lists those that do
 */
export function resolveRecipe(recipe: Recipe, trainSize: number): ResolvedRecipe {
  const problem = inconsistencies(recipe)[0]
  if (problem !== undefined) throw new TrainError('RECIPE_INVALID', problem.message)
  if (!Number.isSafeInteger(trainSize) || trainSize < 1)
    throw new TrainError('DATA_MISSING', `no training pictures in ${recipe.data.train}: give a folder that has some`)
  const { global, micro, leaf } = recipe.batch
  const stepsPerEpoch = trainSize / global
  const complete = withDefaults(recipe)
  const { everySteps, everyEpochs } = complete.evaluation
  const shortSide = complete.data.augment.shortSide ?? recipe.model.inputSize
  return {
    steps: recipe.steps ?? wholeSteps(recipe.epochs ?? 1, stepsPerEpoch),
    leaves: global / (micro * leaf),
    microBatches: global / micro,
    stepsPerEpoch,
    evaluationEvery: everySteps ?? wholeSteps(everyEpochs ?? 1, stepsPerEpoch),
    scales: complete.evaluation.scales ?? [recipe.model.inputSize],
    shortSide: Array.isArray(shortSide) ? shortSide : [shortSide, shortSide],
    normalize: normalizeOf(complete),
  }
}

/** The defaults that depend on other keys, written out. What a run stores has been through this. */
export function withDefaults(recipe: Recipe): Recipe {
  const { model, data, evaluation } = recipe
  const shortSide = data.augment.shortSide ?? model.inputSize
  const middle = Array.isArray(shortSide) ? Math.round((shortSide[0] + shortSide[1]) / 2) : shortSide
  // a base says it of itself: see base-pictures.ts
  const normalize = model.weights !== undefined && data.normalize === undefined ? {} : { normalize: normalizeOf(recipe) }
  const every = evaluation.everySteps === undefined && evaluation.everyEpochs === undefined ? { everyEpochs: 1 } : {}
  return {
    ...recipe,
    data: { ...data, ...normalize, augment: { ...data.augment, shortSide } },
    evaluation: { ...evaluation, ...every, scales: evaluation.scales ?? [middle] },
  }
}

/** How pictures are turned into numbers. */
export function normalizeOf({ data, initialization }: Pick<Recipe, 'data' | 'initialization'>): 'mean' | 'meanAndStd' {
  return data.normalize ?? (initialization.method === 'normal' ? 'mean' : 'meanAndStd')
}

/** Rounded up; a product like 0.1 × 30 that misses a whole number by rounding alone counts as that number. */
function wholeSteps(epochs: number, stepsPerEpoch: number): number {
  return Math.max(1, Math.ceil(epochs * stepsPerEpoch - 1e-9))
}
