import { describe, expect, it } from 'vitest'
import { layoutOf } from '../models/layout-of.js'
import { networkOf } from '../models/network.js'
import { modelSchema } from '../recipe/schema.js'
import { fansOf, initializeParameter, type Initialization } from './parameters.js'

const network = networkOf({ name: 'vgg-a', width: 0.5, inputSize: 32, fullyConnected: [101], dropout: 0.5, head: 'flatten' }, 9)
const layout = layoutOf(network)
const indexOf = (name: string): number => layout.entries.findIndex((entry) => entry.name === name)

function values(name: string, method: Initialization['method'], seed = 1, std = 0.01): Float32Array {
  const index = indexOf(name)
  const destination = new Float32Array(layout.entries[index]?.size ?? 0).fill(Number.NaN)
  initializeParameter(network, layout, index, { method, std }, seed, destination)
  return destination
}

const meanOf = (numbers: Float32Array): number => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
const stdOf = (numbers: Float32Array): number => Math.sqrt(numbers.reduce((sum, number) => sum + number * number, 0) / numbers.length)

describe('initializeParameter', () => {
  // block3_conv1: 3×3, 64 → 128.
  const [fanIn, fanOut] = [9 * 64, 9 * 128]
  it.each([
    ['normal', 0.01],
    ['he', Math.sqrt(2 / fanIn)],
    ['glorot', Math.sqrt(2 / (fanIn + fanOut))],
    ['heUniform', Math.sqrt(2 / fanIn)],
    ['glorotUniform', Math.sqrt(2 / (fanIn + fanOut))],
  ] as const)('%s has mean 0 and standard deviation %f', (method, std) => {
    const kernel = values('block3_conv1/kernel', method)
    expect(Math.abs(meanOf(kernel))).toBeLessThan((5 * std) / Math.sqrt(kernel.length))
    expect(Math.abs(stdOf(kernel) / std - 1)).toBeLessThan(5 / Math.sqrt(2 * kernel.length))
    expect(new Set(kernel).size).toBeGreaterThan(kernel.length * 0.99)
  })

  it.each([
    ['heUniform', Math.sqrt(6 / fanIn)],
    ['glorotUniform', Math.sqrt(6 / (fanIn + fanOut))],
  ] as const)('%s stays within ±%f', (method, limit) => {
    const kernel = values('block3_conv1/kernel', method)
    const largest = kernel.reduce((max, number) => Math.max(max, Math.abs(number)), 0)
    expect(largest).toBeLessThanOrEqual(Math.fround(limit))
    expect(largest).toBeGreaterThan(limit * 0.999)
  })

  it('takes the standard deviation of the recipe', () => {
    expect(stdOf(values('block3_conv1/kernel', 'normal', 1, 0.1))).toBeCloseTo(0.1, 3)
  })

  it('sets biases to 0', () => {
    expect(values('block3_conv1/bias', 'normal').every((bias) => bias === 0)).toBe(true)
  })

  it('starts batch normalization as the identity, and the biases of AlexNet where the paper has them', () => {
    const firstValues = (model: Record<string, unknown>): Record<string, number> => {
      const made = networkOf(modelSchema.parse(model), 9)
      const { entries } = layoutOf(made)
      const found = entries.map((entry, index): [string, number] => {
        const destination = new Float32Array(entry.size).fill(Number.NaN)
        initializeParameter(made, { entries, size: 0 }, index, { method: 'he', std: 0.01 }, 1, destination)
        return [entry.name, destination[entry.size - 1] ?? Number.NaN]
      })
      return Object.fromEntries(found.filter(([name]) => !name.endsWith('/kernel')))
    }
    expect(firstValues({ name: 'resnet-18', width: 0.02 })).toMatchObject({
      ...{ 'conv1_bn/gamma': 1, 'conv1_bn/beta': 0, 'conv1_bn/moving_mean': 0, 'conv1_bn/moving_variance': 1 },
      'predictions/bias': 0,
    })
    expect(firstValues({ name: 'alexnet', width: 0.02, fullyConnected: [4, 4], inputSize: 67 })).toEqual({
      ...{ 'conv1/bias': 0, 'conv2/bias': 1, 'conv3/bias': 0, 'conv4/bias': 1, 'conv5/bias': 1 },
      ...{ 'fc1/bias': 1, 'fc2/bias': 1, 'predictions/bias': 0 },
    })
  })

  it('gives the same bits again, in any order, and others for another seed or layer', () => {
    const first = values('block4_conv2/kernel', 'he')
    values('fc1/kernel', 'he')
    expect(values('block4_conv2/kernel', 'he')).toEqual(first)
    expect(values('block4_conv2/kernel', 'he', 2)).not.toEqual(first)
    expect(values('block5_conv1/kernel', 'he')).not.toEqual(first)
  })

  it('fills a tensor of an odd number of elements', () => {
    const kernel = values('predictions/kernel', 'normal')
    expect(kernel.length % 2).toBe(1)
    expect(kernel.every((number) => Number.isFinite(number) && number !== 0)).toBe(true)
  })
})

describe('fansOf', () => {
  it.each([
    [[3, 3, 64, 128], 576, 1152],
    [[1, 1, 256, 512], 256, 512],
    [[25_088, 4096], 25_088, 4096],
  ])('of %j are %i and %i', (shape, fanIn, fanOut) => {
    expect(fansOf(shape)).toEqual([fanIn, fanOut])
  })
})
