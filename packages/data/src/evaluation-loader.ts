import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { evaluationBatch, type EvaluationBatch } from './evaluation-batch.js'
import { byteValues, type ByteValues } from './network-input.js'
import { orderedPool } from './ordered-pool.js'
import type { Picture } from './picture.js'
import { PictureReader } from './picture-reader.js'
import type { Preprocessing } from './preprocessing.js'
import type { SampleSource } from './sample-folder.js'

export interface EvaluationLoaderOptions {
  readonly source: SampleSource
  readonly preprocessing: Preprocessing
  /** How pictures are looked at; left out: the centre crop at the preprocessing's scale. */
  readonly views?: EvaluationViews | undefined
  /** Samples of a batch, always. */
  readonly batch: number
  readonly parallelism?: number | undefined
  readonly cacheBytes?: number | undefined
}

/** Pictures decoded at once. Two keep a reader and a decoder busy; more would only take the computing thread's core. */
export const DEFAULT_PARALLELISM = 2
/** Pixels kept of small pictures, training and validation each. */
export const DEFAULT_CACHE_BYTES = 128 * 1024 * 1024

/** Fixed evaluation batches, numbered over a set: shorter side to each test scale, never augmented. */
export class EvaluationLoader {
  /** Batches in all, the last one padded. */
  readonly batches: number
  private readonly views: EvaluationViews
  /** One a scale. */
  private readonly readers: readonly { readonly scale: number; readonly reader: PictureReader }[]
  private readonly values: ByteValues

  constructor(private readonly options: EvaluationLoaderOptions) {
    const { source, preprocessing, batch, cacheBytes = DEFAULT_CACHE_BYTES } = options
    this.batches = Math.ceil(source.size / batch)
    this.views = options.views ?? { protocol: 'center', scales: [preprocessing.scale], flip: false }
    const { scales } = this.views
    this.readers = scales.map((scale) => ({ scale, reader: new PictureReader(source, scale, cacheBytes / scales.length) }))
    this.values = byteValues(preprocessing)
  }

  /** Evaluation batch number `batch`. @throws TrainError DATA_CORRUPT naming the sample */
  async load(batch: number): Promise<EvaluationBatch> {
    const { source, preprocessing, batch: size } = this.options
    const first = batch * size
    const numbers = Array.from({ length: Math.min(size, source.size - first) }, (_, i) => first + i)
    const labels = new Int32Array(size)
    for (const [at, number] of numbers.entries()) labels[at] = source.label(number)
    const pictures: Picture[][] = []
    for (const { scale, reader } of this.readers) pictures.push(await this.pictures(numbers, scale, reader))
    return evaluationBatch({ pictures, labels, views: this.views, inputSize: preprocessing.inputSize, values: this.values })
  }

  private async pictures(numbers: readonly number[], scale: number, reader: PictureReader): Promise<Picture[]> {
    const { parallelism = DEFAULT_PARALLELISM } = this.options
    const pictures: Picture[] = []
    for await (const picture of orderedPool(numbers, parallelism, (i) => reader.picture(i, scale))) pictures.push(picture)
    return pictures
  }
}
