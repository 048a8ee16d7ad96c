import { describe, expect, it } from 'vitest'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { checkArchitecture } from './architecture-check.js'
import { layersOfConfig, placesOfConfig, snakeCase } from './model-config.js'
import { modelConfig2, modelConfig3 } from './exported-config.js'

const network = networkOf(modelSchema.parse({ name: 'vgg-a', width: 0.25, inputSize: 32, fullyConnected: [8], dropout: 0.5 }), 3)

/** Our own architecture as Keras writes it, one layer's settings changed. */
function layersWith(name: string, change: Record<string, unknown>, className?: string) {
  const layers = layersOfConfig(modelConfig3(network)) ?? []
  return layers.map((layer) =>
    layer.name === name ? { ...layer, className: className ?? layer.className, config: { ...layer.config, ...change } } : layer,
  )
}

describe('checkArchitecture', () => {
  it('accepts what we write ourselves, in both dialects', () => {
    expect(checkArchitecture(layersOfConfig(modelConfig2(network)) ?? [], network, 'x')).toBe(true)
    expect(checkArchitecture(layersOfConfig(modelConfig3(network)) ?? [], network, 'x')).toBe(true)
  })

  it('takes activations that are layers of their own, sizes as numbers, and logits', () => {
    const layers = layersWith('block1_conv1', { activation: 'linear', kernel_size: 3, strides: 1 })
    layers.splice(2, 0, { className: 'Activation', name: 'relu', config: { activation: 'relu' } })
    expect(checkArchitecture(layers, network, 'x')).toBe(true)
    expect(checkArchitecture(layersWith('predictions', { activation: 'linear' }), network, 'x')).toBe(true)
  })

  it.each<[string, string, Record<string, unknown>, string | undefined, RegExp]>([
    [
      'padding',
      'block2_conv1',
      { padding: 'valid' },
      undefined,
      /^x has layer block2_conv1 \(Conv2D 3×3 stride 1×1 valid, relu\) where vgg-a has block2_conv1 \(Conv2D 3×3 stride 1×1 same, relu\); /,
    ],
    ['stride', 'block1_conv1', { strides: [2, 2] }, undefined, /stride 2×2/],
    ['activation', 'fc1', { activation: 'tanh' }, undefined, /Dense, tanh/],
    ['sigmoid at the end', 'predictions', { activation: 'sigmoid' }, undefined, /Dense, sigmoid/],
    ['pooling', 'block1_pool', {}, 'AveragePooling2D', /AveragePooling2D/],
    ['an overlapping pooling', 'block1_pool', { pool_size: [3, 3] }, undefined, /MaxPooling2D 3×3 stride 2×2/],
    ['channels first', 'flatten', { data_format: 'channels_first' }, undefined, /Flatten channels first/],
  ])('refuses another %s', (_, name, change, className, message) => {
    expect(() => checkArchitecture(layersWith(name, change, className), network, 'x')).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_MISMATCH', message: expect.stringMatching(message) as string }),
    )
  })

  it('compares the epsilon of batch normalization, and takes the ReLU behind it for a part of it', () => {
    const normalized = networkOf(
      modelSchema.parse({ name: 'vgg-a', width: 0.25, inputSize: 32, fullyConnected: [8], dropout: 0.5, batchNormalization: true }),
      3,
    )
    const withNormalization = (config: Record<string, unknown>) =>
      (layersOfConfig(modelConfig3(network)) ?? []).flatMap((layer) =>
        layer.className === 'Conv2D'
          ? [
              { ...layer, config: { ...layer.config, activation: 'linear' } },
              { className: 'BatchNormalization', name: `${layer.name}_bn`, config },
              { className: 'ReLU', name: `${layer.name}_relu`, config: {} },
            ]
          : [layer],
      )
    expect(checkArchitecture(withNormalization({ epsilon: 1e-5 }), normalized, 'x')).toBe(true)
    expect(() => checkArchitecture(withNormalization({}), normalized, 'x')).toThrow(
      /^x has layer block1_conv1_bn \(BatchNormalization epsilon 0\.001, relu\) where vgg-a has block1_conv1_bn \(BatchNormalization epsilon 0\.00001, relu\)/,
    )
    expect(() => checkArchitecture(withNormalization({ epsilon: 1e-5, scale: false }), normalized, 'x')).toThrow(/without scale/)
  })

  it('takes zeros before a convolution for its padding, and for nothing else', () => {
    const single = networkOf(modelSchema.parse({ name: 'alexnet-2014', width: 0.125, inputSize: 67, fullyConnected: [8], dropout: 0 }), 3)
    const layers = layersOfConfig(modelConfig3(single)) ?? []
    expect(layers.map(({ name }) => name).slice(0, 3)).toEqual(['input_1', 'conv1_pad', 'conv1'])
    expect(checkArchitecture(layers, single, 'x')).toBe(true)
    const wider = layers.map((layer) => (layer.name === 'conv1_pad' ? { ...layer, config: { padding: [3, 3] } } : layer))
    expect(() => checkArchitecture(wider, single, 'x')).toThrow(/^x has layer conv1 \(Conv2D 11×11 stride 4×4 3, relu\) where/)
    const zeros = { className: 'ZeroPadding2D', name: 'zeros', config: {} }
    const before = layers.flatMap((layer) => (layer.name === 'pool1' ? [zeros, layer] : [layer]))
    expect(() => checkArchitecture(before, single, 'x')).toThrow(/^x has layer zeros \(ZeroPadding2D\) where/)
  })

  it('refuses a layer that Lockstep does not know, and one that is missing', () => {
    const layers = layersOfConfig(modelConfig3(network)) ?? []
    const rescaling = { className: 'Rescaling', name: 'rescaling', config: { scale: 1 / 255 } }
    expect(() => checkArchitecture([rescaling, ...layers], network, 'x')).toThrow(
      /^x has layer rescaling \(Rescaling\) where vgg-a has block1_conv1/,
    )
    expect(() => checkArchitecture(layers.slice(0, -1), network, 'x')).toThrow(/^x ends before it where vgg-a has predictions/)
  })
})

describe('model configuration', () => {
  it.each([
    ['Conv2D', 'conv2d'],
    ['MaxPooling2D', 'max_pooling2d'],
    ['BatchNormalization', 'batch_normalization'],
    ['GlobalAveragePooling2D', 'global_average_pooling2d'],
    ['ReLU', 're_lu'],
  ])('knows where Keras 3 keeps a %s', (name, place) => {
    expect(snakeCase(name)).toBe(place)
  })

  it('finds the layers of a model within a model', () => {
    const inner = { class_name: 'Functional', config: { name: 'vgg16', layers: [layer('Conv2D', 'a'), layer('Conv2D', 'b')] } }
    const outer = { class_name: 'Sequential', config: { name: 's', layers: [inner, layer('Dense', 'c'), layer('Dense', 'd')] } }
    expect(layersOfConfig(outer)?.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd'])
    const places = [...placesOfConfig(outer)]
    expect(places).toContainEqual(['layers/functional/layers/conv2d_1', 'b'])
    expect(places).toContainEqual(['layers/dense_1', 'd'])
  })
})

function layer(className: string, name: string) {
  return { class_name: className, config: { name } }
}
