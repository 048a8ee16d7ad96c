import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { frozenPart, trainedPart } from '@lockstep/shared/parameters/layout.js'
import { describe, expect, it } from 'vitest'
import type { Batch } from './batch.js'
import { Engine } from './engine.js'
import { batchOf, oneThread, RESIDUAL, smallVgg, weightsOf } from './test-networks.js'

oneThread()

const SEED = 5
const GLOBAL_BATCH = 12

/** The same network, its layers up to this one frozen. */
function frozenUpTo(network: Network, name: string): Network {
  const last = network.layers.findIndex((layer) => layer.name === name)
  const layers = network.layers.map((layer, index): LayerSpec => (index <= last ? { ...layer, trainable: false } : layer))
  return { ...network, layers }
}

/** An engine that trains a part of a network. @param weights of the whole of it */
async function partlyFrozen(network: Network, weights: Float32Array): Promise<Engine> {
  const whole = layoutOf(network)
  const [trained, frozen] = [trainedPart(whole), frozenPart(whole)]
  const offsets = new Map(whole.entries.map(({ name, offset }) => [name, offset]))
  const valuesOf = (part: typeof whole): Float32Array => {
    const values = new Float32Array(part.size)
    for (const { name, offset, size } of part.entries) {
      const from = offsets.get(name) ?? Number.NaN
      values.set(weights.subarray(from, from + size), offset)
    }
    return values
  }
  const engine = await Engine.create({ network, layout: trained, seed: SEED, globalBatch: GLOBAL_BATCH })
  engine.setFrozen(valuesOf(frozen))
  engine.setWeights(valuesOf(trained))
  return engine
}

describe('a frozen base', () => {
  it('gives the head the very gradient that it has where everything is trained, and nothing else a gradient', async () => {
    const network = smallVgg()
    const frozen = frozenUpTo(network, 'block5_pool')
    const weights = weightsOf(network)
    const [batch, wanted] = [batchOf(network, 4), new Map<string, Float32Array>()]
    const whole = await Engine.create({ network, layout: layoutOf(network), seed: SEED, globalBatch: GLOBAL_BATCH })
    whole.setWeights(weights)
    const { lossSum } = whole.gradient(batch, ({ name }, values) => wanted.set(name, values.slice()))
    const engine = await partlyFrozen(frozen, weights)
    const found = new Map<string, Float32Array>()
    const sink = ({ name }: { name: string }, values: Float32Array): void => void found.set(name, values.slice())
    expect(engine.gradient(batch, sink).lossSum).toBe(lossSum)
    expect([...found.keys()]).toEqual(['fc1', 'fc2', 'predictions'].flatMap((layer) => [`${layer}/kernel`, `${layer}/bias`]))
    for (const [name, values] of found) expect(values, name).toEqual(wanted.get(name))
    expect(found.get('fc1/kernel')?.some((value) => value !== 0)).toBe(true)
    const alive = engine.tensors()
    engine.gradient(batch, sink)
    expect(engine.tensors()).toBe(alive)
    whole.dispose()
    engine.dispose()
  })

  it('takes its own output back in the place of pictures: the same bits, layers of the head alone, nothing kept', async () => {
    const network = smallVgg()
    const frozen = frozenUpTo(network, 'block5_pool')
    const engine = await partlyFrozen(frozen, weightsOf(network))
    const batch = batchOf(network, 4)
    const computed = (given: Batch): unknown => {
      const found: [string, Float32Array][] = []
      const { lossSum } = engine.gradient(given, ({ name }, values) => found.push([name, values.slice()]))
      return [lossSum, found]
    }
    const wanted = computed(batch)
    const kept = { ...batch, images: engine.features(batch.images, 4), features: true }
    expect(computed(kept)).toEqual(wanted)
    const visited: string[] = []
    engine.visitLayers(kept, (index) => visited.push(network.layers[index]?.name ?? '') > 0)
    expect(visited[0]).toBe('flatten')
    const alive = engine.tensors()
    computed(kept)
    engine.features(batch.images, 4)
    engine.visitLayers(kept, () => true)
    expect(engine.tensors()).toBe(alive)
    // a value that is not finite is found in the head
    const broken = { ...kept, images: kept.images.map(() => Number.NaN) }
    const { nonFiniteLayer = 0 } = engine.gradient(broken, () => undefined)
    expect(network.layers[nonFiniteLayer - 1]?.name).toBe('flatten')
    engine.dispose()
  })

  it('normalizes with the statistics that came with it, in training too, and leaves them as they are', async () => {
    const last = RESIDUAL.layers.findLast(({ type }) => type === 'add')?.name ?? ''
    const frozen = frozenUpTo(RESIDUAL, last)
    // without dropout nothing else is another when a network is trained
    const network: Network = { ...frozen, layers: frozen.layers.filter(({ type }) => type !== 'dropout') }
    const engine = await partlyFrozen(network, weightsOf(network))
    const batch = batchOf(network, 4)
    const names: string[] = []
    const trained = engine.gradient(batch, ({ name }) => names.push(name))
    const evaluated = engine.evaluate(batch.images, batch.labels, batch.count)
    expect(Math.abs(trained.lossSum / evaluated.lossSum - 1)).toBeLessThan(1e-6)
    expect(names.filter((name) => name.includes('moving'))).toEqual([])
    engine.dispose()
  })
})

describe('one sigmoid unit', () => {
  it('has the binary cross-entropy, its gradient, and two probabilities', async () => {
    const layers: LayerSpec[] = [
      { type: 'flatten', name: 'flatten' },
      { type: 'dense', name: 'predictions', units: 1, activation: 'linear' },
    ]
    const network: Network = { name: 'logistic', inputShape: [2, 2, 3], classes: 2, task: 'binary', layers }
    const layout = layoutOf(network)
    const weights = weightsOf(network)
    const engine = await Engine.create({ network, layout, seed: SEED, globalBatch: 5 })
    engine.setWeights(weights)
    const batch = batchOf(network, 5)
    const gradient = new Float64Array(layout.size)
    const { lossSum } = engine.gradient(batch, ({ offset }, values) => {
      gradient.set(values, offset)
    })
    // Logistic regression: loss −(y·log σ(z) + (1 − y)·log(1 − σ(z))), gradient (σ(z) − y)·x
    const [wanted, losses, positive] = [new Float64Array(layout.size), [] as number[], [] as number[]]
    for (let sample = 0; sample < batch.count; sample++) {
      const x = Float64Array.from([...batch.images.subarray(sample * 12, sample * 12 + 12), 1])
      const z = x.reduce((sum, value, index) => sum + value * (weights[index] ?? Number.NaN), 0)
      const [sigma, y] = [1 / (1 + Math.exp(-z)), batch.labels[sample] ?? Number.NaN]
      positive.push(sigma)
      losses.push(-(y * Math.log(sigma) + (1 - y) * Math.log(1 - sigma)))
      x.forEach((value, index) => (wanted[index] = (wanted[index] ?? 0) + ((sigma - y) * value) / 5))
    }
    expect(lossSum).toBeCloseTo(
      losses.reduce((sum, loss) => sum + loss, 0),
      4,
    )
    gradient.forEach((value, index) => expect(value).toBeCloseTo(wanted[index] ?? Number.NaN, 5))
    const probabilities = engine.predict(batch.images, 5)
    positive.forEach((sigma, sample) => {
      expect(probabilities[2 * sample + 1]).toBeCloseTo(sigma, 5)
      expect(probabilities[2 * sample]).toBeCloseTo(1 - sigma, 5)
    })
    engine.dispose()
  })
})
