import { describe, expect, it } from 'vitest'
import type { Recipe } from '../recipe/schema.js'
import { describeNetwork } from './description.js'
import { layoutOf } from './layout-of.js'
import { networkOf } from './network.js'

type Model = Recipe['model']
const PAPER: Model = { name: 'vgg-d', width: 1, inputSize: 224, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten' }
const paper = (name: Model['name'], changes: Partial<Model> = {}) => networkOf({ ...PAPER, name, ...changes }, 1000)

/** arXiv 1409.1556v6, table 2, to the last parameter; multiply-accumulates in units of 10⁹. */
const TABLE: [Model['name'], number, number, number][] = [
  ['vgg-a', 132_863_336, 7.609, 11],
  ['vgg-a-lrn', 132_863_336, 7.609, 11],
  ['vgg-b', 133_047_848, 11.308, 13],
  ['vgg-c', 133_638_952, 11.771, 16],
  ['vgg-d', 138_357_544, 15.47, 16],
  ['vgg-e', 143_667_240, 19.632, 19],
]

describe('networkOf', () => {
  it.each(TABLE)('%s has %i parameters, %f GMAC and %i weight layers', (name, parameters, gigaMacs, weightLayers) => {
    const description = describeNetwork(paper(name))
    expect(description.parameters).toBe(parameters)
    expect(layoutOf(paper(name)).size).toBe(parameters)
    expect(Number((description.macs / 1e9).toFixed(3))).toBe(gigaMacs)
    expect(description.rows.filter((row) => row.parameters > 0)).toHaveLength(weightLayers)
  })

  it.each([
    ['vgg11', 'vgg-a'],
    ['vgg13', 'vgg-b'],
    ['vgg16', 'vgg-d'],
    ['vgg19', 'vgg-e'],
  ] as const)('%s is another name of %s', (alias, name) => {
    expect(paper(alias)).toEqual(paper(name))
  })

  it('names the layers of D as Keras does, dropout after the hidden fully connected ones', () => {
    expect(paper('vgg-d').layers.map((layer) => layer.name)).toEqual([
      ...['block1_conv1', 'block1_conv2', 'block1_pool', 'block2_conv1', 'block2_conv2', 'block2_pool'],
      ...['block3_conv1', 'block3_conv2', 'block3_conv3', 'block3_pool', 'block4_conv1', 'block4_conv2', 'block4_conv3', 'block4_pool'],
      ...[
        'block5_conv1',
        'block5_conv2',
        'block5_conv3',
        'block5_pool',
        'flatten',
        'fc1',
        'fc1_dropout',
        'fc2',
        'fc2_dropout',
        'predictions',
      ],
    ])
  })

  it('ends blocks 3, 4 and 5 of C with a 1×1 convolution', () => {
    const pointwise = paper('vgg-c').layers.flatMap((layer) => (layer.type === 'convolution' && layer.kernel === 1 ? [layer] : []))
    expect(pointwise.map((layer) => [layer.name, layer.filters])).toEqual([
      ['block3_conv3', 256],
      ['block4_conv3', 512],
      ['block5_conv3', 512],
    ])
  })

  it("puts Krizhevsky's normalization behind the first convolution of A-LRN alone", () => {
    expect(paper('vgg-a-lrn').layers[1]).toEqual({
      type: 'localResponseNormalization',
      name: 'block1_lrn1',
      depthRadius: 2,
      bias: 2,
      alpha: 1e-4,
      beta: 0.75,
    })
    expect(paper('vgg-a').layers.some((layer) => layer.type === 'localResponseNormalization')).toBe(false)
  })

  it.each([
    [0.25, [16, 32, 64, 64, 128, 128, 128, 128]],
    [1.1, [70, 141, 282, 282, 563, 563, 563, 563]],
    [0.001, [1, 1, 1, 1, 1, 1, 1, 1]],
  ])('at width %f the convolutions of A have %j filters', (width, filters) => {
    const found = paper('vgg-a', { width }).layers.flatMap((layer) => (layer.type === 'convolution' ? [layer.filters] : []))
    expect(found).toEqual(filters)
  })

  it('takes other heads, classes and fully connected layers', () => {
    const network = networkOf({ ...PAPER, name: 'vgg-a', fullyConnected: [32], dropout: 0, head: 'globalAveragePooling' }, 7)
    expect(network.layers.slice(-3)).toEqual([
      { type: 'globalAveragePooling', name: 'global_average_pooling' },
      { type: 'dense', name: 'fc1', units: 32, activation: 'relu' },
      { type: 'dense', name: 'predictions', units: 7, activation: 'linear' },
    ])
    expect(describeNetwork(networkOf({ ...PAPER, fullyConnected: [] }, 10)).rows.at(-1)?.parameters).toBe(25_088 * 10 + 10)
  })

  it.each([
    [31, false],
    [32, true],
    [33, true],
    [63, true],
  ])('of an input of %i pixels five poolings leave something: %s', (inputSize, possible) => {
    const make = () => layoutOf(paper('vgg-a', { inputSize }))
    if (possible) expect(make().entries.find((entry) => entry.name === 'fc1/kernel')?.shape[0]).toBe(512)
    else expect(make).toThrow(/^model\.inputSize: 31 pixels are too few for the 5 poolings of vgg-a; use 32 or more\.$/)
  })
})

describe('layoutOf', () => {
  it('lays kernels and biases one after the other, in network order', () => {
    const { entries, size } = layoutOf(paper('vgg-d'))
    expect(entries.slice(0, 2)).toEqual([
      { name: 'block1_conv1/kernel', shape: [3, 3, 3, 64], offset: 0, size: 1728, kind: 'kernel' },
      { name: 'block1_conv1/bias', shape: [64], offset: 1728, size: 64, kind: 'bias' },
    ])
    let offset = 0
    for (const entry of entries) {
      expect(entry.offset).toBe(offset)
      offset += entry.size
    }
    expect(offset).toBe(size)
    expect(entries.at(-2)).toMatchObject({ name: 'predictions/kernel', shape: [4096, 1000] })
  })
})
