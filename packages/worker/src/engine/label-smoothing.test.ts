import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { describe, expect, it } from 'vitest'
import type { BatchResult } from './batch.js'
import { Engine } from './engine.js'
import { referenceLogits } from './reference-network.js'
import { FLATTENED, batchOf, oneThread, weightsOf } from './test-networks.js'

oneThread()

const SEED = 5
const GLOBAL_BATCH = 12
const SMOOTHING = 0.2
const layout = layoutOf(FLATTENED)
const batch = batchOf(FLATTENED, 3, 7)

/** The gradient, its result and an evaluation of the same pictures. */
async function computed(labelSmoothing?: number): Promise<{ gradient: Float32Array; result: BatchResult; evaluated: BatchResult }> {
  const smoothed = labelSmoothing === undefined ? {} : { labelSmoothing }
  const engine = await Engine.create({ network: FLATTENED, layout, seed: SEED, globalBatch: GLOBAL_BATCH, ...smoothed })
  try {
    engine.setWeights(weightsOf(FLATTENED))
    const gradient = new Float32Array(layout.size)
    const result = engine.gradient(batch, (entry, values) => {
      gradient.set(values, entry.offset)
    })
    return { gradient, result, evaluated: engine.evaluate(batch.images, batch.labels, 3) }
  } finally {
    engine.dispose()
  }
}

/** Σ over samples of −Σₖ tₖ·ln pₖ with t = (1 − s)·one-hot + s/K, in float64. */
function referenceLoss(weights: Float64Array): number {
  const floats = batch.images.length / batch.count
  const images = Array.from({ length: 3 }, (_, i) => Float64Array.from(batch.images.subarray(i * floats, (i + 1) * floats)))
  const outputs = referenceLogits({ network: FLATTENED, seed: SEED, training: true }, weights, {
    images,
    firstPosition: batch.firstPosition,
  })
  return outputs.reduce((sum, logits, sample) => {
    const normalizer = Math.log(logits.reduce((total, logit) => total + Math.exp(logit), 0))
    const target = (k: number): number => (k === batch.labels[sample] ? 1 - SMOOTHING : 0) + SMOOTHING / logits.length
    return sum - logits.reduce((total, logit, k) => total + target(k) * (logit - normalizer), 0)
  }, 0)
}

describe('label smoothing', () => {
  it('has the loss and the gradient of its definition in float64', async () => {
    const { gradient, result } = await computed(SMOOTHING)
    const weights = Float64Array.from(weightsOf(FLATTENED))
    expect(result.lossSum).toBeCloseTo(referenceLoss(weights), 5)
    const step = 1e-6
    let [error, total] = [0, 0]
    for (let index = 0; index < layout.size; index++) {
      const weight = weights[index] ?? 0
      weights[index] = weight + step
      const above = referenceLoss(weights)
      weights[index] = weight - step
      const expected = (above - referenceLoss(weights)) / (2 * step * GLOBAL_BATCH)
      weights[index] = weight
      error += (expected - (gradient[index] ?? Number.NaN)) ** 2
      total += expected ** 2
    }
    expect(Math.sqrt(error / total)).toBeLessThan(1e-5)
  })

  it('is not there in evaluation, counts nothing differently, and changes no bit where it is 0', async () => {
    const [plain, zero, smoothed] = [await computed(), await computed(0), await computed(SMOOTHING)]
    expect(zero).toEqual(plain)
    expect(smoothed.evaluated).toEqual(plain.evaluated)
    expect(smoothed.result.lossSum).not.toBe(plain.result.lossSum)
    expect(smoothed.result).toMatchObject({ samples: 3, correctTop1: plain.result.correctTop1, correctTop5: plain.result.correctTop5 })
  })
})
