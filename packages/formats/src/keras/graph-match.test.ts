import { describe, expect, it } from 'vitest'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import type { ForeignLayer } from '../foreign-model.js'
import { modelConfig2, modelConfig3 } from './exported-config.js'
import { matchGraph } from './graph-match.js'
import { layersOfConfig } from './model-config.js'

const SIZES = { width: 0.125, inputSize: 64, fullyConnected: [], dropout: 0 }
const network = networkOf(modelSchema.parse({ name: 'resnet-18', ...SIZES }), 3)
const written = (): ForeignLayer[] => layersOfConfig(modelConfig3(network)) ?? []

/** Our own architecture as Keras writes it, one layer's settings changed. */
function layersWith(name: string, change: Record<string, unknown>, more: Partial<ForeignLayer> = {}): ForeignLayer[] {
  return written().map((layer) => (layer.name === name ? { ...layer, config: { ...layer.config, ...change }, ...more } : layer))
}

describe('matchGraph', () => {
  it.each([
    { name: 'resnet-18' },
    { name: 'resnet-50' },
    { name: 'resnet-18', squeezeExcitation: 4 },
    { name: 'resnet-18', normalizationEpsilon: 0.001 },
    { name: 'vgg-a', squeezeExcitation: 4, batchNormalization: true },
    { name: 'alexnet-2014', inputSize: 67, squeezeExcitation: 4, fullyConnected: [8] },
    { name: 'small-cnn', squeezeExcitation: 4 },
  ])('finds every layer of what we write ourselves, in both dialects: $name $squeezeExcitation', (model) => {
    const ours = networkOf(modelSchema.parse({ ...SIZES, ...model }), 3)
    for (const config of [modelConfig2(ours), modelConfig3(ours)]) {
      const names = matchGraph(layersOfConfig(config) ?? [], ours, 'x')
      const expected = ours.layers
        .filter(({ type }) => ['convolution', 'dense', 'batchNormalization'].includes(type))
        .map(({ name }) => name)
      expect(expected.map((name) => names.get(name))).toEqual(expected)
    }
  })

  it('goes by what a layer computes and from what, not by its name or place', () => {
    const renamed = new Map(written().map(({ name }, index) => [name, `theirs_${String((index * 37) % 101)}`]))
    const of = (name: string): string => renamed.get(name) ?? name
    const layers = written().map((layer) => ({ ...layer, name: of(layer.name), inputs: layer.inputs?.map(of).reverse() }))
    const names = matchGraph(layers.reverse(), network, 'x')
    for (const { type, name } of network.layers) if (type === 'convolution') expect(names.get(of(name))).toBe(name)
  })

  it.each<[string, ForeignLayer[], RegExp]>([
    [
      'another stride',
      layersWith('conv3_block1_1_conv', { strides: [1, 1] }),
      /^x has layer conv3_block1_1_conv \(Conv2D 3×3 stride 1×1 same .*where resnet-18 has conv3_block1_1_conv \(Conv2D 3×3 stride 2×2 1 /,
    ],
    ['other channels', layersWith('conv2_block1_1_conv', { filters: 9 }), /^x has layer conv2_block1_1_conv .* 9 units/],
    [
      'a bias',
      layersWith('conv1_conv', { use_bias: true }),
      /^x has layer conv1_conv \(Conv2D 7×7 stride 2×2 3, 8 units, linear\) where resnet-18 has conv1_conv \(.* without bias/,
    ],
    [
      'another epsilon in one place',
      layersWith('conv4_block2_1_bn', { epsilon: 0.001 }),
      /^x has layer conv4_block2_1_bn \(BatchNormalization epsilon 0\.001, relu\)/,
    ],
    [
      'a shortcut from elsewhere',
      layersWith('conv2_block2_add', {}, { inputs: ['pool1_pool', 'conv2_block2_2_bn'] }),
      /^x has layer conv2_block2_add \(Add, relu\) where resnet-18 has conv2_block2_out \(Add, relu\)/,
    ],
    [
      'no ReLU',
      layersWith('conv2_block1_1_relu', { activation: 'linear' }),
      /^x has layer conv2_block1_1_bn \(BatchNormalization .*linear\)/,
    ],
    ['zeros that can be the largest', layersWith('conv1_relu', { activation: 'linear' }), /^x has layer conv1_bn/],
    [
      'zeros before anything else',
      [
        ...layersWith('conv1_bn', {}, { inputs: ['zeros'] }),
        { className: 'ZeroPadding2D', name: 'zeros', config: {}, inputs: ['conv1_conv'] },
      ],
      /^x has layer conv1_conv \(Conv2D .*linear, zeros around it: 1\) where resnet-18 has conv1_conv \(.*linear\)/,
    ],
    [
      'a model in it',
      layersWith('conv2_block1_add', {}, { inputs: ['elsewhere', 'conv2_block1_2_bn'] }),
      /^x does not say what layer elsewhere takes; .* one functional model/,
    ],
    [
      'two ends',
      [...written(), { className: 'Dense', name: 'second', config: {}, inputs: ['global_average_pooling'] }],
      /^x has not one output but predictions, second; /,
    ],
  ])('refuses %s in one line', (_, layers, message) => {
    expect(() => matchGraph(layers, network, 'x')).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_MISMATCH', message: expect.stringMatching(/^[^\n]*$/) as string }),
    )
    expect(() => matchGraph(layers, network, 'x')).toThrow(message)
  })
})
