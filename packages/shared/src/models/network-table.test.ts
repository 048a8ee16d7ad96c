import { describe, expect, it } from 'vitest'
import { modelSchema } from '../recipe/schema.js'
import { isStatistic, parameterFloats } from '../parameters/layout.js'
import { describeNetwork } from './description.js'
import { familyDefaults, MODEL_NAMES } from './families.js'
import { layoutOf } from './layout-of.js'
import { inputsOf, networkOf, type Network } from './network.js'
import { shapesOf } from './shapes.js'

const network = (model: Record<string, unknown>, classes = 1000): Network => networkOf(modelSchema.parse(model), classes)

/**
 * Parameters to the last one, and multiply-accumulates in units of 10⁹: Krizhevsky 2012 (60.97 M), torchvision's counts for batch
 * normalization and residual networks, He 2015 (3.6 GMAC for 34 layers), Hu 2017 (SE-ResNet-50: 28.1 M).
 */
const TABLE: [what: string, model: Record<string, unknown>, parameters: number, gigaMacs: number][] = [
  ['AlexNet', { name: 'alexnet' }, 60_965_224, 0.724],
  ['AlexNet without groups', { name: 'alexnet', groups: 1 }, 62_378_344, 1.135],
  ["torchvision's AlexNet", { name: 'alexnet-2014' }, 61_100_840, 0.714],
  ['VGG-A, batch normalization', { name: 'vgg-a', batchNormalization: true }, 132_868_840, 7.609],
  ['VGG-B, batch normalization', { name: 'vgg-b', batchNormalization: true }, 133_053_736, 11.308],
  ['VGG-D, batch normalization', { name: 'vgg-d', batchNormalization: true }, 138_365_992, 15.47],
  ['VGG-E, batch normalization', { name: 'vgg-e', batchNormalization: true }, 143_678_248, 19.632],
  ['ResNet-18', { name: 'resnet-18' }, 11_689_512, 1.814],
  ['ResNet-34', { name: 'resnet-34' }, 21_797_672, 3.664],
  ['ResNet-50', { name: 'resnet-50' }, 25_557_032, 4.089],
  ['ResNet-101', { name: 'resnet-101' }, 44_549_160, 7.801],
  ['ResNet-152', { name: 'resnet-152' }, 60_192_808, 11.514],
  ['SE-ResNet-50', { name: 'resnet-50', squeezeExcitation: 16 }, 28_088_024, 4.092],
  ['SE-VGG-D', { name: 'vgg-d', squeezeExcitation: 16 }, 138_588_336, 15.47],
]

describe('the table of networks', () => {
  it.each(TABLE)('%s', (_, model, parameters, gigaMacs) => {
    const made = network(model)
    const description = describeNetwork(made)
    expect(description.parameters).toBe(parameters)
    expect(parameterFloats(layoutOf(made))).toBe(parameters)
    expect(Number((description.macs / 1e9).toFixed(3))).toBe(gigaMacs)
  })

  it('has the small CNN, 93,322 parameters on grey pictures of 28 pixels', () => {
    const made = network({ name: 'small-cnn' }, 10)
    expect(made.inputShape).toEqual([28, 28, 1])
    expect(describeNetwork(made).rows.flatMap(({ parameters }) => (parameters > 0 ? [parameters] : []))).toEqual([
      ...[320, 18_496, 36_928, 36_928, 650],
    ])
    expect(describeNetwork(made).parameters).toBe(93_322)
  })

  it.each(MODEL_NAMES)('%s is a graph that can be computed in its order, at any width, with an end that is used', (name) => {
    for (const options of [{}, { width: 0.1 }, { squeezeExcitation: 4 }, { channels: 1 }]) {
      const made = network({ name, ...options }, 7)
      const names = made.layers.map((layer) => layer.name)
      expect(new Set(names).size).toBe(names.length)
      const taken = new Set(made.layers.flatMap((__, index) => inputsOf(made, index)))
      expect(names.filter((one) => !taken.has(one))).toEqual(['predictions'])
      expect(shapesOf(made).at(-1)?.output).toEqual([7])
      expect(JSON.parse(JSON.stringify(made))).toEqual(made)
    }
  })

  it.each(MODEL_NAMES)('%s works at the smallest input it allows, and says which that is below it', (name) => {
    const { smallestInput } = familyDefaults(name)
    expect(shapesOf(network({ name, inputSize: smallestInput })).at(-1)?.output).toEqual([1000])
    expect(() => network({ name, inputSize: smallestInput - 1 })).toThrow(`use ${String(smallestInput)} or more`)
  })
})

describe('AlexNet', () => {
  const made = network({ name: 'alexnet' })

  it('has the sizes of the paper: 55, 27, 13, 6', () => {
    const heights = shapesOf(made).flatMap(({ layer, output }) => (output.length === 3 ? [[layer.name, output[0], output[2]]] : []))
    expect(heights).toEqual([
      ...[
        ['conv1', 55, 96],
        ['lrn1', 55, 96],
        ['pool1', 27, 96],
        ['conv2', 27, 256],
        ['lrn2', 27, 256],
        ['pool2', 13, 256],
      ],
      ...[
        ['conv3', 13, 384],
        ['conv4', 13, 384],
        ['conv5', 13, 256],
        ['pool5', 6, 256],
      ],
    ])
  })

  it('has two groups in convolutions 2, 4 and 5, whose biases start at 1, as those of the hidden layers do', () => {
    const of = (key: 'groups' | 'initialBias'): string[] => made.layers.flatMap((layer) => (key in layer ? [layer.name] : []))
    expect(of('groups')).toEqual(['conv2', 'conv4', 'conv5'])
    expect(of('initialBias')).toEqual(['conv2', 'conv4', 'conv5', 'fc1', 'fc2'])
    expect(shapesOf(made).find(({ layer }) => layer.name === 'conv2')?.kernel).toEqual([5, 5, 48, 256])
  })
})

describe('residual networks', () => {
  const names = (made: Network): string[] => made.layers.map(({ name }) => name)

  it('project where dimensions change and nowhere else', () => {
    const projections = (name: string): string[] => names(network({ name })).filter((layer) => layer.endsWith('_0_conv'))
    expect(projections('resnet-18')).toEqual(['conv3_block1_0_conv', 'conv4_block1_0_conv', 'conv5_block1_0_conv'])
    expect(projections('resnet-50')).toEqual(['conv2', 'conv3', 'conv4', 'conv5'].map((stage) => `${stage}_block1_0_conv`))
  })

  it.each([
    ['resnet-18', 18],
    ['resnet-34', 34],
    ['resnet-50', 50],
    ['resnet-101', 101],
    ['resnet-152', 152],
  ])('%s has %i layers with weights on its longest way', (name, layers) => {
    const weighted = network({ name }).layers.filter(
      ({ type, name: layer }) => /^(convolution|dense)$/.test(type) && !layer.includes('_0_'),
    )
    expect(weighted).toHaveLength(layers)
  })

  it('halve 224 to 112, 56, 28, 14 and 7', () => {
    const sizes = shapesOf(network({ name: 'resnet-50' })).flatMap(({ output }) => (output.length === 3 ? [output[0]] : []))
    expect([...new Set(sizes)]).toEqual([112, 56, 28, 14, 7])
  })

  it('have a gate before the sum, by option', () => {
    const made = network({ name: 'resnet-18', squeezeExcitation: 16 })
    const sum = made.layers.find(({ name }) => name === 'conv2_block1_out')
    expect(sum).toMatchObject({ inputs: ['pool1_pool', 'conv2_block1_2_bn_se_scale'] })
    expect(made.layers.find(({ name }) => name === 'conv2_block1_2_bn_se_fc1')).toMatchObject({ units: 4 })
  })
})

describe('the flat vector', () => {
  it('has batch statistics after all parameters, in network order', () => {
    const { entries, size } = layoutOf(network({ name: 'resnet-18', width: 0.25 }, 3))
    const kinds = entries.map(({ kind }) => isStatistic(kind))
    expect(kinds).toEqual([...kinds].sort((left, right) => Number(left) - Number(right)))
    expect(entries.slice(0, 3).map(({ name }) => name)).toEqual(['conv1_conv/kernel', 'conv1_bn/gamma', 'conv1_bn/beta'])
    const first = kinds.indexOf(true)
    expect(entries.slice(first, first + 3).map(({ name }) => name)).toEqual([
      ...['conv1_bn/moving_mean', 'conv1_bn/moving_variance', 'conv2_block1_1_bn/moving_mean'],
    ])
    let offset = 0
    for (const entry of entries) {
      expect(entry.offset).toBe(offset)
      offset += entry.size
    }
    expect(offset).toBe(size)
    expect(describeNetwork(network({ name: 'resnet-18', width: 0.25 }, 3)).statistics).toBe(size - (entries[first]?.offset ?? 0))
  })
})
