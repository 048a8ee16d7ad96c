import { join } from 'node:path'
import type { BatchLoader } from '@lockstep/data/batch-loader.js'
import { defaultCacheDirectory } from '@lockstep/data/plain-folder.js'
import { elementsOf } from '@lockstep/shared/models/shapes.js'
import type { ComputeClient } from '../compute/compute-client.js'
import type { MicroBatch } from '../compute/compute-messages.js'
import type { WorkerLog } from '../worker-log.js'
import { FeatureFolder } from './feature-folder.js'

export interface CachedFeaturesOptions {
  /** See feature-key.ts. */
  readonly key: string
  /** Of one picture. */
  readonly shape: readonly number[]
  /** Pictures of a batch in which features are computed: always the same ones together, since bits depend on it. */
  readonly batch: number
  /** Pictures that are trained on. */
  readonly samples: number
  readonly loader: BatchLoader
  readonly compute: ComputeClient
  readonly log: WorkerLog
}

/**
 * What a frozen base makes of the training pictures, computed once and kept on disk for all workers of a machine and later runs. Each
 * process makes what it does not find, in an order of its own, so that several share the work.
 */
export class CachedFeatures {
  private readonly folder: FeatureFolder
  private readonly floats: number

  constructor(private readonly options: CachedFeaturesOptions) {
    const { key, batch, samples } = options
    this.floats = elementsOf(options.shape)
    const directory = join(defaultCacheDirectory(), '..', 'features', key)
    this.folder = new FeatureFolder({ directory, key, floats: this.floats, batch, samples })
  }

  /** Makes what is missing or damaged. @returns how many batches that were. @throws TrainError DATA_CORRUPT, DISK, MEMORY */
  async complete(): Promise<number> {
    const { batches } = this.folder
    const started = performance.now()
    let made = 0
    for (const batch of orderOf(batches, process.pid)) {
      if (await this.folder.isWhole(batch)) continue
      await this.make(batch)
      made++
    }
    const seconds = Number(((performance.now() - started) / 1000).toFixed(3))
    this.options.log.info({ made, batches, seconds, key: this.options.key }, 'the features of the frozen base are there')
    return made
  }

  /** A micro-batch of features in the place of pictures; what was damaged since is made again. @throws as {@link complete} */
  async training(firstPosition: number, count: number): Promise<MicroBatch> {
    const { loader, batch } = this.options
    const { samples, labels } = loader.order(firstPosition, count)
    const images = new Float32Array(count * this.floats)
    for (const [at, sample] of samples.entries()) {
      if (await this.folder.read(sample, images, at * this.floats)) continue
      const number = Math.floor(sample / batch)
      this.options.log.warn({ batch: number, key: this.options.key }, 'cached features are damaged; made again')
      const values = await this.make(number)
      const row = sample - number * batch
      images.set(values.subarray(row * this.floats, (row + 1) * this.floats), at * this.floats)
    }
    return { images, labels, count, firstPosition, features: true }
  }

  private async make(batch: number): Promise<Float32Array> {
    const { loader, compute, batch: size } = this.options
    const first = batch * size
    const samples = Array.from({ length: this.folder.rowsOf(batch) }, (_, index) => first + index)
    const values = await compute.features(await loader.still(samples, size), size)
    await this.folder.write(batch, values)
    return values
  }
}

/**
 * All batches in an order that differs from process to process. Not merely another beginning: whoever came to where another is at work
 * would make the same batches at the same time from then on.
 */
export function orderOf(batches: number, pid: number): number[] {
  // an odd factor makes a permutation of 32-bit words
  const factor = Math.imul(pid, 0x9e3779b1) | 1
  const place = (batch: number): number => Math.imul(batch + 1, factor) >>> 0
  return Array.from({ length: batches }, (_, batch) => batch).sort((left, right) => place(left) - place(right))
}
