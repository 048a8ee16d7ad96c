import { colorShiftOf } from '@lockstep/shared/sampling/color-shift.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { centerGeometry, geometryOf } from '@lockstep/shared/sampling/geometry.js'
import { SampleStream } from '@lockstep/shared/sampling/sample-stream.js'
import type { EvaluationBatch } from './evaluation-batch.js'
import { DEFAULT_CACHE_BYTES, DEFAULT_PARALLELISM, EvaluationLoader } from './evaluation-loader.js'
import { byteValues, inputFloats, writeInput, type ByteValues } from './network-input.js'
import { orderedPool } from './ordered-pool.js'
import { PictureReader } from './picture-reader.js'
import { evaluationViews, preprocessingFor, trainingScale, type PictureRecipe, type Preprocessing } from './preprocessing.js'
import type { TrainingData } from './training-data.js'

export interface TrainingBatch {
  /** [count, side, side, channels], float32 RGB or grey, normalised. A buffer of its own, to be handed to another thread. */
  readonly images: Float32Array<ArrayBuffer>
  /** [count] class numbers. */
  readonly labels: Int32Array<ArrayBuffer>
  readonly count: number
  /** Stream position of sample 0. */
  readonly firstPosition: number
}

export interface BatchLoaderOptions {
  readonly data: TrainingData
  readonly recipe: PictureRecipe
  /** Height and width of the network's input, pixels. */
  readonly inputSize: number
  /** Its channels: 3 by default, or 1, grey. */
  readonly channels?: 1 | 3 | undefined
  /** Pictures decoded at once. */
  readonly parallelism?: number | undefined
  /** Bytes of pixels kept of small pictures, for training and validation each; 0: none. */
  readonly cacheBytes?: number | undefined
}

/**
 * Batches of decoded, augmented pictures. What a sample looks like depends on (recipe, seed, stream position) alone: batches may be
 * asked for in any order, at once, again, and by any number of loaders.
 */
export class BatchLoader {
  /** Batches of one evaluation. */
  readonly evaluationBatches: number
  private readonly stream: SampleStream
  private readonly reader: PictureReader
  private readonly evaluationLoader: EvaluationLoader
  private readonly preprocessing: Preprocessing
  private readonly values: ByteValues

  /** @throws TrainError RECIPE_INVALID when a scale is smaller than the input */
  constructor(private readonly options: BatchLoaderOptions) {
    const { data, recipe, inputSize, parallelism = DEFAULT_PARALLELISM, cacheBytes = DEFAULT_CACHE_BYTES } = options
    const preprocessing = preprocessingFor(recipe, data, inputSize, options.channels ?? 3)
    this.preprocessing = preprocessing
    const scale = trainingScale(recipe, inputSize)
    this.stream = new SampleStream({ size: data.train.size, seed: recipe.seed, shuffle: recipe.data.shuffle, blocks: data.train.blocks })
    this.reader = new PictureReader(data.train, typeof scale === 'number' ? scale : null, cacheBytes)
    this.values = byteValues(preprocessing)
    this.evaluationLoader = new EvaluationLoader({
      source: data.validation,
      preprocessing,
      views: evaluationViews(recipe, inputSize),
      batch: recipe.evaluation.batch,
      parallelism,
      cacheBytes,
    })
    this.evaluationBatches = this.evaluationLoader.batches
  }

  /** The samples at stream positions [firstPosition, firstPosition + count). @throws TrainError DATA_CORRUPT naming the sample */
  async training(firstPosition: number, count: number): Promise<TrainingBatch> {
    const { data, recipe, inputSize, parallelism = DEFAULT_PARALLELISM } = this.options
    const { crop, flip, colorShift } = recipe.data.augment
    const view = { shortSide: trainingScale(recipe, inputSize), crop, flip }
    const pixels = inputFloats(this.preprocessing)
    const images = new Float32Array(count * pixels)
    const labels = new Int32Array(count)
    const load = async (position: number): Promise<{ position: number; label: number }> => {
      const sample = this.stream.sample(position)
      const geometry = geometryOf(recipe.seed, position, view)
      const picture = await this.reader.picture(sample, geometry.shortSide)
      const values = colorShift === 0 ? this.values : this.shiftedValues(position)
      writeInput(picture, geometry, inputSize, values, images, (position - firstPosition) * pixels)
      return { position, label: data.train.label(sample) }
    }
    const positions = Array.from({ length: count }, (_, i) => firstPosition + i)
    for await (const { position, label } of orderedPool(positions, parallelism, load)) labels[position - firstPosition] = label
    return { images, labels, count, firstPosition }
  }

  /** Numbers and classes of the samples at stream positions [firstPosition, firstPosition + count), without their pictures. */
  order(firstPosition: number, count: number): { samples: number[]; labels: Int32Array<ArrayBuffer> } {
    const samples = Array.from({ length: count }, (_, i) => this.stream.sample(firstPosition + i))
    return { samples, labels: Int32Array.from(samples, (sample) => this.options.data.train.label(sample)) }
  }

  /**
   * Training pictures by their numbers, as every epoch sees them where nothing about them is random: the centre crop at the training scale.
   * @param rows pictures of the batch; zeros after the last sample
   * @returns [rows, side, side, channels]
   * @throws TrainError DATA_CORRUPT naming the sample
   */
  async still(samples: readonly number[], rows: number): Promise<Float32Array<ArrayBuffer>> {
    const { recipe, inputSize, parallelism = DEFAULT_PARALLELISM } = this.options
    const scale = trainingScale(recipe, inputSize)
    invariant(typeof scale === 'number', 'a picture that is always the same has one scale')
    const pixels = inputFloats(this.preprocessing)
    const images = new Float32Array(rows * pixels)
    let at = 0
    for await (const picture of orderedPool(samples, parallelism, (sample) => this.reader.picture(sample, scale))) {
      writeInput(picture, centerGeometry(scale), inputSize, this.values, images, at)
      at += pixels
    }
    return images
  }

  /** Evaluation batch number `batch`, of `evaluationBatches`. @throws TrainError DATA_CORRUPT naming the sample */
  evaluation(batch: number): Promise<EvaluationBatch> {
    return this.evaluationLoader.load(batch)
  }

  private shiftedValues(position: number): ByteValues {
    const { data, recipe } = this.options
    const shift = colorShiftOf(recipe.seed, position, recipe.data.augment.colorShift, data.color.eigenvectors, data.color.eigenvalues)
    return byteValues(this.preprocessing, shift)
  }
}
