import { centerGeometry } from '@lockstep/shared/sampling/geometry.js'
import { byteValues, inputFloats, writeInput, type ByteValues } from './network-input.js'
import { orderedPool } from './ordered-pool.js'
import { PictureReader } from './picture-reader.js'
import type { Preprocessing } from './preprocessing.js'
import type { SampleSource } from './sample-folder.js'

export interface EvaluationBatch {
  /** [batch, side, side, channels], float32; zeros after the last sample. A buffer of its own, to be handed to another thread. */
  readonly images: Float32Array<ArrayBuffer>
  /** [batch]; zeros after the last sample. */
  readonly labels: Int32Array<ArrayBuffer>
  /** Real samples in the batch. */
  readonly samples: number
}

export interface EvaluationLoaderOptions {
  readonly source: SampleSource
  readonly preprocessing: Preprocessing
  /** Samples of a batch, always. */
  readonly batch: number
  readonly parallelism?: number | undefined
  readonly cacheBytes?: number | undefined
}

/** Pictures decoded at once. Two keep a reader and a decoder busy; more would only take the computing thread's core. */
export const DEFAULT_PARALLELISM = 2
/** Pixels kept of small pictures, training and validation each. */
export const DEFAULT_CACHE_BYTES = 128 * 1024 * 1024

/** Fixed evaluation batches, numbered over a set: shorter side to the test scale, centre crop, never augmented. */
export class EvaluationLoader {
  /** Batches in all, the last one padded. */
  readonly batches: number
  private readonly reader: PictureReader
  private readonly values: ByteValues

  constructor(private readonly options: EvaluationLoaderOptions) {
    const { source, preprocessing, batch, cacheBytes = DEFAULT_CACHE_BYTES } = options
    this.batches = Math.ceil(source.size / batch)
    this.reader = new PictureReader(source, preprocessing.scale, cacheBytes)
    this.values = byteValues(preprocessing)
  }

  /** @throws TrainError DATA_CORRUPT naming the sample */
  async load(batch: number): Promise<EvaluationBatch> {
    const { source, preprocessing, batch: size, parallelism = DEFAULT_PARALLELISM } = this.options
    const { inputSize, scale } = preprocessing
    const floats = inputFloats(preprocessing)
    const first = batch * size
    const samples = Math.min(size, source.size - first)
    const images = new Float32Array(size * floats)
    const labels = new Int32Array(size)
    let at = 0
    const numbers = Array.from({ length: samples }, (_, i) => first + i)
    for await (const picture of orderedPool(numbers, parallelism, (i) => this.reader.picture(i, scale))) {
      labels[at] = source.label(first + at)
      writeInput(picture, centerGeometry(scale), inputSize, this.values, images, at * floats)
      at++
    }
    return { images, labels, samples }
  }
}
