import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { isStatistic } from '@lockstep/shared/parameters/layout.js'
import { describe, expect, it } from 'vitest'
import type { Batch, BatchResult } from './batch.js'
import { momentsOf, referenceLogits, referenceLosses, referenceOutputs, type ReferenceBatch } from './reference-network.js'
import { GLOBAL_BATCH, SEED, gradientOf, withEngine } from './test-engines.js'
import { AVERAGED, BRANCHED, FLATTENED, GROUPED, RESIDUAL, VALUED, batchOf, oneThread, smallVgg, weightsOf } from './test-networks.js'

oneThread()

const sampleOf = (batch: Batch, sample: number): Float64Array => {
  const floats = batch.images.length / batch.count
  return Float64Array.from(batch.images.subarray(sample * floats, (sample + 1) * floats))
}

const referenceBatch = (batch: Batch): ReferenceBatch => ({
  images: Array.from({ length: batch.count }, (_, sample) => sampleOf(batch, sample)),
  firstPosition: batch.firstPosition,
})

/** (1/B)·Σ loss of the reference network. */
function referenceTotal(network: Network, weights: Float64Array, batch: Batch): number {
  const losses = referenceLosses({ network, seed: SEED, training: true }, weights, referenceBatch(batch), batch.labels)
  return losses.reduce((sum, loss) => sum + loss, 0) / GLOBAL_BATCH
}

/** Central differences in float64; the step is far above float64's rounding and far below the distance to any kink. */
function differences(network: Network, weights: Float64Array, batch: Batch): Float64Array {
  const step = 1e-6
  return weights.map((weight, index) => {
    weights[index] = weight + step
    const above = referenceTotal(network, weights, batch)
    weights[index] = weight - step
    const below = referenceTotal(network, weights, batch)
    weights[index] = weight
    return (above - below) / (2 * step)
  })
}

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))

describe('Engine.gradient', () => {
  it.each([
    ['convolution, LRN, pooling, flatten, dense, dropout', FLATTENED],
    ['valid convolution, overlapping pooling, dropout of maps, global average pooling', AVERAGED],
    ['batch normalization, padded strides and pooling, residual sums, projection, gate', RESIDUAL],
    ['groups, gate after a convolution, grey input', GROUPED],
    ['branches, average pooling, every function, dense without bias, normalized', BRANCHED],
    ['a value, squared error', VALUED],
  ])('agrees with finite differences in float64: %s', async (_, network) => {
    const batch = batchOf(network, 3, 2 ** 32 - 1)
    const weights = weightsOf(network)
    const expected = differences(network, Float64Array.from(weights), batch)
    await withEngine(network, (engine) => {
      engine.setWeights(weights)
      const { gradient, result } = gradientOf(engine, network, batch)
      for (const { name, offset, size, kind } of layoutOf(network).entries) {
        if (isStatistic(kind)) continue
        const wanted = expected.subarray(offset, offset + size)
        const error = wanted.map((value, index) => value - (gradient[offset + index] ?? Number.NaN))
        expect(norm(wanted), name).toBeGreaterThan(1e-4)
        expect(norm(error) / norm(wanted), name).toBeLessThan(1e-5)
      }
      expect(result.lossSum / GLOBAL_BATCH).toBeCloseTo(referenceTotal(network, Float64Array.from(weights), batch), 5)
      expect(result.samples).toBe(3)
    })
  })

  it('gives the same bits again, after other work, and holds no tensor', async () => {
    const network = smallVgg()
    await withEngine(network, (engine) => {
      engine.setWeights(weightsOf(network))
      const first = gradientOf(engine, network, batchOf(network, 4, 8))
      const tensors = engine.tensors()
      gradientOf(engine, network, batchOf(network, 7, 100))
      engine.evaluate(batchOf(network, 5).images, batchOf(network, 5).labels, 2)
      engine.predict(batchOf(network, 3).images, 3)
      engine.setWeights(weightsOf(network))
      expect(gradientOf(engine, network, batchOf(network, 4, 8))).toEqual(first)
      expect(engine.tensors()).toBe(tensors)
    })
  })

  it('says values of a regression, and counts as right what is nearest to its own', async () => {
    await withEngine(VALUED, (engine) => {
      const weights = weightsOf(VALUED)
      engine.setWeights(weights)
      const batch = batchOf(VALUED, 4)
      const options = { network: VALUED, seed: SEED, training: false }
      const values = referenceLogits(options, Float64Array.from(weights), referenceBatch(batch)).map(([value = Number.NaN]) => value)
      const said = engine.logSoftmax({ images: batch.images, shape: [4, ...VALUED.inputShape], kind: 'crop' })
      expect(said).toHaveLength(4)
      values.forEach((value, sample) => {
        expect(said[sample]).toBeCloseTo(value, 5)
      })
      expect(engine.predict(batch.images, 4)).toEqual(said)
      const targets = VALUED.targets ?? []
      const nearest = values.map((value) =>
        targets.reduce((best, target, index) => (Math.abs(value - target) < Math.abs(value - (targets[best] ?? 0)) ? index : best), 0),
      )
      const seen: [number, number][] = []
      const result = engine.evaluate(batch.images, batch.labels, 4, (_, __, predicted, loss) => seen.push([predicted, loss]))
      expect(seen.map(([predicted]) => predicted)).toEqual(nearest)
      expect(result.correctTop1).toBe(nearest.filter((index, sample) => index === batch.labels[sample]).length)
      values.forEach((value, sample) => {
        expect(seen[sample]?.[1]).toBeCloseTo((value - (targets[batch.labels[sample] ?? 0] ?? 0)) ** 2, 5)
      })
    })
  })

  it('holds no tensor of branches, functions and rows that are normalized', async () => {
    await withEngine(BRANCHED, (engine) => {
      engine.setWeights(weightsOf(BRANCHED))
      const batch = batchOf(BRANCHED, 3)
      const first = gradientOf(engine, BRANCHED, batch)
      const tensors = engine.tensors()
      engine.evaluate(batch.images, batch.labels, 2)
      engine.visitLayers(batch, () => true)
      expect(gradientOf(engine, BRANCHED, batch)).toEqual(first)
      expect(engine.tensors()).toBe(tensors)
    })
  })

  it('calls the sink once a parameter, in layout order', async () => {
    await withEngine(FLATTENED, (engine) => {
      engine.setWeights(weightsOf(FLATTENED))
      const names: string[] = []
      engine.gradient(batchOf(FLATTENED, 2), (entry, values) => {
        expect(values).toHaveLength(entry.size)
        names.push(entry.name)
      })
      expect(names).toEqual(layoutOf(FLATTENED).entries.map((entry) => entry.name))
    })
  })

  it('draws dropout anew at every stream position, and never in evaluation', async () => {
    await withEngine(FLATTENED, (engine) => {
      engine.setWeights(weightsOf(FLATTENED))
      const batch = batchOf(FLATTENED, 2)
      const here = gradientOf(engine, FLATTENED, batch)
      expect(gradientOf(engine, FLATTENED, { ...batch, firstPosition: 64 }).gradient).not.toEqual(here.gradient)
      const evaluated = engine.evaluate(batch.images, batch.labels, 2)
      expect(evaluated.lossSum).not.toBe(here.result.lossSum)
      expect(engine.evaluate(batch.images, batch.labels, 2)).toEqual(evaluated)
    })
  })

  it('returns what is not finite as it is', async () => {
    await withEngine(FLATTENED, (engine) => {
      engine.setWeights(weightsOf(FLATTENED).fill(Number.NaN))
      const { gradient, result } = gradientOf(engine, FLATTENED, batchOf(FLATTENED, 2))
      expect(result.lossSum).toBeNaN()
      expect(result.correctTop1).toBe(0)
      expect(gradient.at(-1)).toBeNaN()
    })
  })
})

describe('batch statistics', () => {
  it('come in the place of gradients: the old ones moved towards the micro-batch, the variance unbiased', async () => {
    await withEngine(RESIDUAL, (engine) => {
      const weights = weightsOf(RESIDUAL)
      engine.setWeights(weights)
      const batch = batchOf(RESIDUAL, 3)
      const { gradient } = gradientOf(engine, RESIDUAL, batch)
      const options = { network: RESIDUAL, seed: SEED, training: true }
      const outputs = referenceOutputs(options, Float64Array.from(weights), referenceBatch(batch))
      const statistics = layoutOf(RESIDUAL).entries.filter(({ kind }) => isStatistic(kind))
      expect(statistics).toHaveLength(8)
      for (const { name, kind, offset, size } of statistics) {
        const layer = name.slice(0, name.indexOf('/'))
        const { mean, variance, count } = momentsOf(outputs.get(layer.replace('_bn', '_conv')) ?? [], size)
        for (let channel = 0; channel < size; channel++) {
          const own = kind === 'movingMean' ? (mean[channel] ?? 0) : ((variance[channel] ?? 0) * count) / (count - 1)
          expect(gradient[offset + channel], name).toBeCloseTo(0.9 * (weights[offset + channel] ?? 0) + 0.1 * own, 5)
        }
      }
    })
  })

  it('are what evaluation and prediction normalize by, and a forward pass changes none', async () => {
    await withEngine(RESIDUAL, (engine) => {
      const weights = weightsOf(RESIDUAL)
      engine.setWeights(weights)
      const batch = batchOf(RESIDUAL, 3)
      const before = engine.predict(batch.images, 3)
      const tensors = engine.tensors()
      gradientOf(engine, RESIDUAL, batch)
      expect(engine.predict(batch.images, 3)).toEqual(before)
      expect(engine.tensors()).toBe(tensors)
      const { offset } = layoutOf(RESIDUAL).entries.find(({ kind }) => kind === 'movingVariance') ?? { offset: -1 }
      weights[offset] = 9
      engine.setWeights(weights)
      expect(engine.predict(batch.images, 3)).not.toEqual(before)
      const trained = gradientOf(engine, RESIDUAL, batch)
      weights[offset] = 1
      engine.setWeights(weights)
      expect(gradientOf(engine, RESIDUAL, batch).result).toEqual(trained.result)
    })
  })
})

describe('Engine.visitLayers', () => {
  it('shows every layer once, in order, the last as the reference has it, and holds no tensor', async () => {
    await withEngine(FLATTENED, (engine) => {
      const weights = weightsOf(FLATTENED)
      engine.setWeights(weights)
      const batch = batchOf(FLATTENED, 2, 6)
      const seen: number[] = []
      const logits: number[] = []
      const visit = (index: number, values: Float32Array): boolean => {
        seen.push(index)
        if (index === FLATTENED.layers.length - 1) logits.push(...values)
        return true
      }
      engine.visitLayers(batch, visit)
      const tensors = engine.tensors()
      engine.visitLayers(batch, visit)
      engine.visitLayers(batch, (index) => index < 1)
      expect(engine.tensors()).toBe(tensors)
      expect(seen).toEqual([...FLATTENED.layers.keys(), ...FLATTENED.layers.keys()])
      const options = { network: FLATTENED, seed: SEED, training: true }
      const expected = referenceLogits(options, Float64Array.from(weights), referenceBatch(batch)).flatMap((sample) => [...sample])
      expected.forEach((value, index) => expect(logits[index]).toBeCloseTo(value, 4))
    })
  })

  it('ends where it is told to', async () => {
    await withEngine(FLATTENED, (engine) => {
      engine.setWeights(weightsOf(FLATTENED))
      const seen: number[] = []
      engine.visitLayers(batchOf(FLATTENED, 2), (index) => seen.push(index) < 3)
      expect(seen).toEqual([0, 1, 2])
    })
  })
})

describe('a loss that is not finite', () => {
  it('comes with the first layer, forward, whose output is not, and holds no tensor', async () => {
    await withEngine(FLATTENED, (engine) => {
      const layout = layoutOf(FLATTENED)
      const scaled = (...names: string[]): Float32Array => {
        const weights = weightsOf(FLATTENED)
        for (const { name, offset, size } of layout.entries)
          if (names.includes(name)) for (let index = offset; index < offset + size; index++) weights[index] = 1e25
        return weights
      }
      engine.setWeights(weightsOf(FLATTENED))
      const sound = gradientOf(engine, FLATTENED, batchOf(FLATTENED, 2))
      expect(sound.result).not.toHaveProperty('nonFiniteLayer')
      const tensors = engine.tensors()
      engine.setWeights(scaled('conv2/kernel', 'conv3/kernel'))
      expect(layerOf(gradientOf(engine, FLATTENED, batchOf(FLATTENED, 2)).result)).toBe('conv3')
      engine.setWeights(scaled('conv3/kernel', 'fc1/kernel'))
      expect(layerOf(gradientOf(engine, FLATTENED, batchOf(FLATTENED, 2)).result)).toBe('fc1')
      expect(engine.tensors()).toBe(tensors)
      engine.setWeights(weightsOf(FLATTENED))
      expect(gradientOf(engine, FLATTENED, batchOf(FLATTENED, 2))).toEqual(sound)
    })
  })
})

describe('in a network with branches', () => {
  it('the first layer whose output is not finite is found, and no tensor is held', async () => {
    await withEngine(RESIDUAL, (engine) => {
      const layout = layoutOf(RESIDUAL)
      engine.setWeights(weightsOf(RESIDUAL))
      const sound = gradientOf(engine, RESIDUAL, batchOf(RESIDUAL, 3))
      const tensors = engine.tensors()
      for (const name of ['c_se_fc2', 'd_0_conv', 'd_1_conv']) {
        const weights = weightsOf(RESIDUAL)
        const entry = layout.entries.find((one) => one.name === `${name}/kernel`)
        weights[entry?.offset ?? -1] = Number.NaN
        engine.setWeights(weights)
        const { nonFiniteLayer = 0 } = gradientOf(engine, RESIDUAL, batchOf(RESIDUAL, 3)).result
        expect(RESIDUAL.layers[nonFiniteLayer - 1]?.name).toBe(name)
        expect(engine.tensors()).toBe(tensors)
      }
      engine.setWeights(weightsOf(RESIDUAL))
      expect(gradientOf(engine, RESIDUAL, batchOf(RESIDUAL, 3))).toEqual(sound)
    })
  })
})

function layerOf({ nonFiniteLayer = 0 }: BatchResult): string | undefined {
  return FLATTENED.layers[nonFiniteLayer - 1]?.name
}

describe('Engine.gradient into a vector', () => {
  it('writes what the sink would have been given, bit for bit', async () => {
    const network = smallVgg()
    const batch = batchOf(network, 4)
    await withEngine(network, (engine) => {
      engine.setWeights(weightsOf(network))
      const { entries, size } = layoutOf(network)
      const expected = new Float32Array(size)
      engine.gradient(batch, (entry, values) => {
        expected.set(values, entry.offset)
      })
      const tensors = engine.tensors()
      for (const shift of [0, 3]) {
        const into = new Float32Array(new SharedArrayBuffer((size + 16) * 4), shift * 4, size).fill(Number.NaN)
        const told: string[] = []
        engine.gradient(batch, ({ name }) => told.push(name), into)
        expect(Buffer.from(into.slice().buffer).equals(Buffer.from(expected.buffer))).toBe(true)
        expect(told).toEqual([])
      }
      expect(entries.length).toBeGreaterThan(0)
      expect(engine.tensors()).toBe(tensors)
    })
  })
})

describe('Engine.evaluate and Engine.predict', () => {
  it.each([FLATTENED, RESIDUAL, GROUPED, BRANCHED])('agree with the reference in float64, padding left out: $name', async (network) => {
    await withEngine(network, (engine) => {
      const weights = weightsOf(network)
      engine.setWeights(weights)
      const batch = batchOf(network, 4)
      const padded = new Float32Array(batch.images.length)
      padded.set(batch.images.subarray(0, batch.images.length / 2))
      const options = { network, seed: SEED, training: false }
      const half = { images: referenceBatch(batch).images.slice(0, 2), firstPosition: 0 }
      const losses = referenceLosses(options, Float64Array.from(weights), half, batch.labels)
      const probabilities = engine.predict(batch.images, 4)
      referenceLogits(options, Float64Array.from(weights), half).forEach((logits, sample) => {
        const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0)
        logits.forEach((logit, index) => {
          expect(probabilities[sample * network.classes + index]).toBeCloseTo(Math.exp(logit) / total, 5)
        })
      })
      const result = engine.evaluate(padded, batch.labels, 2)
      expect(result.lossSum).toBeCloseTo(
        losses.reduce((sum, loss) => sum + loss, 0),
        4,
      )
      expect(result).toMatchObject({ samples: 2, correctTop5: 2 })
    })
  })
})
