import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { channelsOf } from '@lockstep/shared/models/families.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import type { ColorBasis, Rgb, TrainingData } from './training-data.js'

/** All that turns a picture into a network's input at evaluation and prediction: a checkpoint carries it. Plain JSON. */
export interface Preprocessing {
  /** Height and width of the input, pixels. */
  readonly inputSize: number
  /** Test scale Q: pixels of the shorter side before the centre crop; the first of several. */
  readonly scale: number
  /** mean: x − mean; meanAndStd: (x − mean) / std, per channel, on 0–255. */
  readonly normalize: 'mean' | 'meanAndStd'
  readonly mean: Rgb
  readonly std: Rgb
  /** There if the input is one channel, grey: the standard deviation of grey, 0–255. */
  readonly greyStd?: number
  readonly classes: string[]
}

/** Weights of R, G and B in grey: ITU-R BT.601. */
export const GREY_WEIGHTS: Rgb = [0.299, 0.587, 0.114]

/**
 * Standard deviation of grey, 0–255, from the covariance of RGB = Σ λₖ·eₖ·eₖᵀ (0–1 units): its square is Σ λₖ·(w·eₖ)².
 * One rounding after the other in a fixed order.
 */
export function greyStdOf({ eigenvalues, eigenvectors }: ColorBasis): number {
  const variance = eigenvalues.reduce((sum, value, k) => {
    const along = GREY_WEIGHTS.reduce((dot, weight, channel) => dot + weight * (eigenvectors[k]?.[channel] ?? 0), 0)
    return sum + value * along * along
  }, 0)
  return 255 * Math.sqrt(Math.max(0, variance))
}

/** What is computed of a recipe here; a whole Recipe fits. */
export type PictureRecipe = Pick<Recipe, 'seed' | 'data' | 'evaluation' | 'initialization'>

/** Training scale S of a recipe: fixed, or the range it is drawn from. */
export function trainingScale(recipe: Pick<PictureRecipe, 'data'>, inputSize: number): number | readonly [number, number] {
  return recipe.data.augment.shortSide ?? inputSize
}

/** Test scale Q of a recipe: as given, or the training scale, its middle (rounded down) when that is drawn. */
export function testScale(recipe: Pick<PictureRecipe, 'data' | 'evaluation'>, inputSize: number): number {
  const training = trainingScale(recipe, inputSize)
  return recipe.evaluation.scales?.[0] ?? (typeof training === 'number' ? training : Math.floor((training[0] + training[1]) / 2))
}

/** How a recipe's validation pictures are looked at. */
export function evaluationViews(recipe: Pick<PictureRecipe, 'data' | 'evaluation'>, inputSize: number): EvaluationViews {
  const { protocol, scales = [testScale(recipe, inputSize)], flip } = recipe.evaluation
  return { protocol, scales, flip }
}

/** The recipe's rule, or the default: the paper's for the paper's initialization, unit variance for those made for it. */
export function normalizeRule({ data, initialization }: Pick<PictureRecipe, 'data' | 'initialization'>): 'mean' | 'meanAndStd' {
  return data.normalize ?? (initialization.method === 'normal' ? 'mean' : 'meanAndStd')
}

/** @throws TrainError RECIPE_INVALID when a scale is smaller than the input or a range is empty */
export function requireScales(recipe: Pick<PictureRecipe, 'data' | 'evaluation'>, inputSize: number): void {
  const training = trainingScale(recipe, inputSize)
  const [from, to] = typeof training === 'number' ? [training, training] : training
  if (from > to)
    throw new TrainError(
      'RECIPE_INVALID',
      `data.augment.shortSide: the range [${String(from)}, ${String(to)}] is empty; put the smaller number first`,
    )
  if (from < inputSize)
    throw new TrainError(
      'RECIPE_INVALID',
      `data.augment.shortSide ${String(from)} is smaller than the input (${String(inputSize)} pixels): make it at least that`,
    )
  const scale = evaluationViews(recipe, inputSize).scales.find((each) => each < inputSize)
  if (scale !== undefined)
    throw new TrainError(
      'RECIPE_INVALID',
      `evaluation.scales ${String(scale)} is smaller than the input (${String(inputSize)} pixels): make it at least that`,
    )
}

/** What of a recipe and its data a checkpoint carries to predict. */
export function preprocessingOf(
  recipe: Pick<Recipe, 'model' | 'data' | 'evaluation' | 'initialization'>,
  data: PictureFacts,
): Preprocessing {
  return preprocessingFor(recipe, data, recipe.model.inputSize, channelsOf(recipe.model))
}

/** The same for a recipe whose network is known by its input alone. */
export function preprocessingFor(
  recipe: Pick<Recipe, 'data' | 'evaluation' | 'initialization'>,
  data: PictureFacts,
  inputSize: number,
  channels: 1 | 3,
): Preprocessing {
  requireScales(recipe, inputSize)
  const { statistics } = recipe.data
  const { mean, std } = statistics ?? data
  const { classes } = data
  const grey = channels === 1 ? { greyStd: statistics?.greyStd ?? greyStdOf(data.color) } : {}
  return { inputSize, scale: testScale(recipe, inputSize), normalize: normalizeRule(recipe), mean, std, ...grey, classes }
}

/** What of a data set enters pixels, and its classes. */
type PictureFacts = Pick<TrainingData, 'mean' | 'std' | 'color' | 'classes'>
