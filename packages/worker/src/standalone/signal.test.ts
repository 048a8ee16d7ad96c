import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BatchLoader } from '@lockstep/data/batch-loader.js'
import { drawClassFolders } from '@lockstep/data/drawn-pictures.js'
import { openTrainingData } from '@lockstep/data/training-data.js'
import { writeCheckpoint } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { initialWeights } from '@lockstep/shared/initialization/initial-weights.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../engine/engine.js'
import { oneThread } from '../engine/test-networks.js'
import { measureInitialSignals } from './measure-initial-signals.js'
import type { LayerSignal, SignalReport } from './messages.js'
import { rootMeanSquare } from './signal.js'

oneThread()

const CLASSES = ['one', 'two', 'three']
let directory: string
const at = (name: string): string => join(directory, name)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep-signal-'))
  process.env.XDG_CACHE_HOME = at('cache')
  await drawClassFolders(at('pictures'), CLASSES, 6)
})

afterAll(async () => {
  delete process.env.XDG_CACHE_HOME
  await rm(directory, { recursive: true, force: true })
})

function recipeOf(name: Recipe['model']['name'], initialization: object): Recipe {
  return recipeSchema.parse({
    model: { name, width: 0.05, inputSize: 32, fullyConnected: [8] },
    data: { train: at('pictures'), validation: { split: 0.2 }, normalize: 'meanAndStd' },
    batch: { global: 8, micro: 4 },
    initialization,
    steps: 1,
  })
}

async function measure(...recipes: Recipe[]): Promise<readonly SignalReport[]> {
  return await measureInitialSignals({ recipes, computeThreads: 1, logFile: at('child.log') })
}

const layerOf = (report: SignalReport | undefined, name: string): LayerSignal | undefined =>
  report?.layers.find(({ layer }) => layer === name)

describe('the signal at initialization', () => {
  it('grows by each layer’s factor: twice the standard deviation, twice the scale a layer', async () => {
    const [one, two] = await measure(recipeOf('vgg-a', { method: 'normal', std: 0.1 }), recipeOf('vgg-a', { method: 'normal', std: 0.2 }))
    expect(one?.input).toBe(two?.input)
    expect(one?.layers.map(({ layer }) => layer)).toEqual(
      layoutOf(networkOf(recipeOf('vgg-a', {}).model, 3))
        .entries.filter(({ kind }) => kind === 'kernel')
        .map(({ name }) => name.replace('/kernel', '')),
    )
    // biases are 0 and ReLU and pooling take a factor along, so powers of two come out to the last bit
    one?.layers.forEach((layer, index) => {
      const other = two?.layers[index]
      expect(layer.activation, layer.layer).toBeGreaterThan(0)
      expect((other?.activation ?? 0) / (layer.activation ?? 1), layer.layer).toBe(2 ** (index + 1))
      expect((other?.kernel ?? 0) / (layer.kernel ?? 1), layer.layer).toBe(2)
      expect(layer.gradient, layer.layer).toBeGreaterThan(0)
    })
  })

  it('is that of the first micro-batch of the training, its gradient that of the mean loss', async () => {
    const recipe = recipeOf('vgg-a', { method: 'he' })
    const [report] = await measure(recipe)
    const network = networkOf(recipe.model, CLASSES.length)
    const layout = layoutOf(network)
    const weights = new Float32Array(layout.size)
    await initialWeights(recipe, network, layout, (entry, values) => weights.set(values, entry.offset))
    const data = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize: 32 })
    const batch = await new BatchLoader({ data, recipe, inputSize: 32 }).training(0, 4)
    await data.close()
    // 1/B with B = 1: the sum over the pictures
    const engine = await Engine.create({ network, layout, seed: recipe.seed, globalBatch: 1 })
    engine.setWeights(weights)
    const summed = new Map<string, number>()
    const { lossSum } = engine.gradient(batch, (entry, values) => summed.set(entry.name, rootMeanSquare(values) ?? Number.NaN))
    engine.dispose()
    expect(report?.loss).toBeCloseTo(lossSum / 4, 6)
    for (const { layer, gradient } of report?.layers ?? [])
      expect((gradient ?? 0) / ((summed.get(`${layer}/kernel`) ?? 0) / 4), layer).toBeCloseTo(1, 5)
  })

  it('of a network from A begins with A’s layers', async () => {
    const shallow = recipeOf('vgg-a', { method: 'normal', std: 0.5 })
    const network = networkOf(shallow.model, CLASSES.length)
    const layout = layoutOf(network)
    const weights = new Float32Array(layout.size)
    await initialWeights(shallow, network, layout, (entry, values) => weights.set(values, entry.offset))
    const digest = '0'.repeat(64)
    writeCheckpoint(
      at('a.safetensors'),
      layout,
      {
        ...{ format: 1, step: 1, run: 'test', seed: 1, recipe: shallow, network, schedule: {}, preprocessing: {} },
        ...{ fingerprint: digest, dataDigest: digest, recipeDigest: digest },
      },
      { weights: [new Uint8Array(weights.buffer)], velocity: [new Uint8Array(weights.byteLength)], suffix: Buffer.from('{}') },
    )
    const [a, d, random] = await measure(
      shallow,
      recipeOf('vgg-d', { method: 'he', from: at('a.safetensors') }),
      recipeOf('vgg-d', { method: 'he' }),
    )
    for (const copied of ['block1_conv1', 'block3_conv2', 'predictions'])
      expect(layerOf(d, copied)?.kernel, copied).toBe(layerOf(a, copied)?.kernel)
    for (const own of ['block1_conv2', 'block4_conv1']) expect(layerOf(d, own)?.kernel, own).toBe(layerOf(random, own)?.kernel)
    expect(layerOf(d, 'block1_conv1')?.activation).toBe(layerOf(a, 'block1_conv1')?.activation)
  })

  it('says what is not finite', async () => {
    const [report] = await measure(recipeOf('vgg-a', { method: 'normal', std: 1e10 }))
    expect(layerOf(report, 'block1_conv1')?.activation).toBeGreaterThan(0)
    expect(layerOf(report, 'predictions')?.activation).toBeNull()
    expect(report?.loss).toBeNull()
  })
})

describe('rootMeanSquare', () => {
  it.each([
    [[3, 4, 0, 0], 2.5],
    [[-2, 2], 2],
    [[0], 0],
    [[Number.NaN, 1], null],
    [[Number.POSITIVE_INFINITY], null],
  ])('of %j is %s', (values, expected) => {
    expect(rootMeanSquare(Float32Array.from(values))).toBe(expected)
  })
})
