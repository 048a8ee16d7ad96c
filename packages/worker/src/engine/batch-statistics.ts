import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { ParameterEntry, ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { BatchMoments } from './batch-normalization.js'
import type { BatchNormalizationLayer } from './batch-normalization-layer.js'
import type { TensorFlow } from './load-tensorflow.js'

/** One tensor of batch statistics and where its new values come from. */
interface Statistic {
  readonly entry: ParameterEntry
  readonly layer: BatchNormalizationLayer
  readonly moment: keyof BatchMoments
  /** Its values in the weights that were set. */
  readonly old: Float32Array
}

/**
 * The batch statistics of a network: what each micro-batch makes of those that came with the weights. They are never written where the
 * network reads them: the next version's come from the averager, as the weights do.
 */
export class BatchStatistics {
  readonly #tf: TensorFlow
  readonly #statistics: readonly Statistic[]

  constructor(tf: TensorFlow, layers: readonly BatchNormalizationLayer[], layout: ParameterLayout) {
    this.#tf = tf
    const byName = new Map(layers.map((layer) => [layer.name, layer]))
    this.#statistics = layout.entries.flatMap((entry) => {
      if (entry.frozen === true || (entry.kind !== 'movingMean' && entry.kind !== 'movingVariance')) return []
      const layer = byName.get(entry.name.slice(0, entry.name.lastIndexOf('/')))
      invariant(layer !== undefined, `${entry.name} belongs to a normalization`)
      return [{ entry, layer, moment: entry.kind === 'movingMean' ? 'mean' : 'variance', old: new Float32Array(entry.size) } as const]
    })
  }

  /** Takes the old values from the flat vector. */
  set(flat: Float32Array): void {
    for (const { entry, old } of this.#statistics) old.set(flat.subarray(entry.offset, entry.offset + entry.size))
  }

  /**
   * New statistics after a forward pass of training: m · old + (1 − m) · the micro-batch's, in float64, rounded once to float32.
   * The tensors of the pass are given back.
   */
  take(): Map<ParameterEntry, Float32Array> {
    const moments = new Map<BatchNormalizationLayer, BatchMoments>()
    const renewed = new Map<ParameterEntry, Float32Array>()
    for (const { entry, layer, moment, old } of this.#statistics) {
      const found = moments.get(layer) ?? layer.takeMoments()
      invariant(found !== undefined, `${layer.name} has normalized a micro-batch`)
      moments.set(layer, found)
      const values = found[moment].dataSync<'float32'>()
      renewed.set(
        entry,
        old.map((value, index) => layer.momentum * value + (1 - layer.momentum) * (values[index] ?? Number.NaN)),
      )
    }
    this.#tf.dispose([...moments.values()].map(({ mean, variance }) => [mean, variance]))
    return renewed
  }

  /** Gives back what a forward pass left, unread. */
  drop(): void {
    for (const { layer } of this.#statistics) {
      const moments = layer.takeMoments()
      if (moments !== undefined) this.#tf.dispose([moments.mean, moments.variance])
    }
  }
}
