import type { ACTIVATIONS } from '@lockstep/shared/models/graph.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { squeezeExcitation } from '@lockstep/shared/models/squeeze-excitation.js'
import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { uniformOf } from '@lockstep/shared/random/normal.js'
import { philox } from '@lockstep/shared/random/philox.js'
import type { Batch } from './batch.js'

/** Small networks, weights and batches for tests. Tests choose one TensorFlow thread before they load it. */
export function oneThread(): void {
  process.env.TF_NUM_INTRAOP_THREADS = '1'
  process.env.TF_NUM_INTEROP_THREADS = '1'
  process.env.OMP_NUM_THREADS = '1'
  process.env.TF_CPP_MIN_LOG_LEVEL = '3'
}

const convolution = (name: string, filters: number, changes: Partial<Extract<LayerSpec, { type: 'convolution' }>> = {}): LayerSpec => ({
  ...{ type: 'convolution', name, filters, kernel: 3, stride: 1, padding: 'same', activation: 'relu' },
  ...changes,
})

/** Every kind of layer, in as few parameters as still tell them apart. */
export const FLATTENED: Network = {
  name: 'flattened',
  inputShape: [9, 8, 3],
  classes: 4,
  layers: [
    convolution('conv1', 6),
    // Strong, so that a mistake in it shows.
    { type: 'localResponseNormalization', name: 'lrn1', depthRadius: 2, bias: 2, alpha: 0.1, beta: 0.75 },
    { type: 'maxPooling', name: 'pool1', size: 2, stride: 2 },
    convolution('conv2', 5, { kernel: 1 }),
    convolution('conv3', 4, { stride: 2 }),
    { type: 'flatten', name: 'flatten' },
    { type: 'dense', name: 'fc1', units: 11, activation: 'relu' },
    { type: 'dropout', name: 'fc1_dropout', rate: 0.4 },
    { type: 'dense', name: 'predictions', units: 4, activation: 'linear' },
  ],
}

export const AVERAGED: Network = {
  name: 'averaged',
  inputShape: [10, 10, 3],
  classes: 3,
  layers: [
    convolution('conv1', 4, { padding: 'valid' }),
    { type: 'maxPooling', name: 'pool1', size: 3, stride: 2 },
    convolution('conv2', 5, { activation: 'linear' }),
    { type: 'dropout', name: 'conv2_dropout', rate: 0.25 },
    { type: 'globalAveragePooling', name: 'gap' },
    { type: 'dense', name: 'predictions', units: 3, activation: 'linear' },
  ],
}

const normalization = (name: string, activation: 'relu' | 'linear'): LayerSpec => ({
  ...{ type: 'batchNormalization', name, activation, momentum: 0.9, epsilon: 1e-5 },
})

const bare = { useBias: false, activation: 'linear' } as const

/**
 * A stem and two residual blocks, the first with a gate, the second with a projection; sizes are even and odd, so that it matters where
 * zeros stand, and what is pooled may be negative, so that zeros are not what pooling pads with. */
export const RESIDUAL: Network = {
  name: 'residual',
  inputShape: [14, 11, 3],
  classes: 3,
  layers: [
    convolution('b_conv', 4, { ...bare, kernel: 5, stride: 2, padding: 2 }),
    normalization('b_bn', 'linear'),
    { type: 'maxPooling', name: 'b_pool', size: 3, stride: 2, padding: 1 },
    convolution('c_conv', 4, { ...bare, inputs: ['b_pool'] }),
    normalization('c_bn', 'relu'),
    ...squeezeExcitation('c_bn', 4, 2).map((layer) => renamed(layer, 'c_bn_se', 'c_se')),
    { type: 'add', name: 'c_out', inputs: ['b_pool', 'c_se_scale'], activation: 'relu' },
    convolution('d_0_conv', 6, { ...bare, kernel: 1, stride: 2, padding: 'valid', inputs: ['c_out'] }),
    normalization('d_0_bn', 'linear'),
    convolution('d_1_conv', 6, { ...bare, stride: 2, padding: 1, inputs: ['c_out'] }),
    normalization('d_1_bn', 'linear'),
    { type: 'add', name: 'd_out', inputs: ['d_0_bn', 'd_1_bn'], activation: 'linear' },
    { type: 'globalAveragePooling', name: 'gap' },
    { type: 'dense', name: 'predictions', units: 3, activation: 'linear' },
  ],
}

/** Two groups, and a gate where there is no residual sum. */
export const GROUPED: Network = {
  name: 'grouped',
  inputShape: [8, 7, 1],
  classes: 3,
  layers: [
    convolution('conv1', 4, { padding: 'valid' }),
    convolution('conv2', 6, { groups: 2, kernel: 5 }),
    ...squeezeExcitation('conv2', 6, 3),
    convolution('conv3', 4, { groups: 2, stride: 2, padding: 1 }),
    { type: 'flatten', name: 'flatten' },
    { type: 'dense', name: 'predictions', units: 3, activation: 'linear' },
  ],
}

const activation = (name: (typeof ACTIVATIONS)[number]): LayerSpec => ({ type: 'activation', name, function: name })

/** What only networks of a user's own have: branches that are joined, average pooling, functions as layers, dense layers without bias or normalized. */
export const BRANCHED: Network = {
  name: 'branched',
  inputShape: [9, 8, 3],
  classes: 3,
  layers: [
    convolution('stem', 3, { activation: 'linear', padding: 'valid' }),
    activation('elu'),
    // What is pooled may be negative.
    { type: 'maxPooling', name: 'left', inputs: ['elu'], size: 3, stride: 2, padding: 'same' },
    { type: 'averagePooling', name: 'middle', inputs: ['elu'], size: 3, stride: 2, padding: 'same' },
    convolution('right', 2, { activation: 'linear', stride: 2, inputs: ['stem'] }),
    activation('selu'),
    { type: 'concatenate', name: 'joined', inputs: ['left', 'middle', 'selu'] },
    { type: 'averagePooling', name: 'pooled', size: 2, stride: 1, padding: 'valid' },
    { type: 'flatten', name: 'flatten' },
    { type: 'dense', name: 'fc1', units: 8, activation: 'linear', useBias: false },
    activation('tanh'),
    { type: 'dense', name: 'fc2', units: 6, activation: 'linear', inputs: ['tanh'] },
    // Behind a layer without biases: normalization would take away what they add.
    { type: 'dense', name: 'fc9', units: 4, activation: 'linear', useBias: false, inputs: ['tanh'] },
    { type: 'batchNormalization', name: 'fc9_bn', activation: 'linear', momentum: 0.9, epsilon: 0.1 },
    { type: 'activation', name: 'leaky', inputs: ['fc2'], function: 'leakyRelu', slope: 0.1 },
    { type: 'dense', name: 'fc3', units: 6, activation: 'linear', inputs: ['tanh'] },
    activation('swish'),
    { type: 'dense', name: 'fc4', units: 5, activation: 'linear', inputs: ['tanh'] },
    activation('softplus'),
    { type: 'dense', name: 'fc5', units: 5, activation: 'linear', inputs: ['softplus'] },
    activation('softsign'),
    { type: 'dense', name: 'fc6', units: 5, activation: 'linear', inputs: ['softsign'] },
    activation('sigmoid'),
    { type: 'dense', name: 'fc7', units: 5, activation: 'linear', inputs: ['tanh'] },
    activation('relu6'),
    { type: 'dense', name: 'fc8', units: 5, activation: 'linear', inputs: ['tanh'] },
    activation('relu'),
    { type: 'concatenate', name: 'all', inputs: ['leaky', 'fc9_bn', 'swish', 'sigmoid', 'relu6', 'relu'] },
    { type: 'dense', name: 'predictions', units: 3, activation: 'linear' },
  ],
}

/** A value instead of classes. */
export const VALUED: Network = {
  ...AVERAGED,
  name: 'valued',
  task: 'regression',
  targets: [-1, 0.5, 2],
  layers: [...AVERAGED.layers.slice(0, -1), { type: 'dense', name: 'predictions', units: 1, activation: 'linear' }],
}

function renamed(layer: LayerSpec, from: string, to: string): LayerSpec {
  return JSON.parse(JSON.stringify(layer).replaceAll(from, to)) as LayerSpec
}

/** VGG-A, narrow. */
export function smallVgg(): Network {
  return networkOf({ name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [32, 32], dropout: 0.5, head: 'flatten' }, 10)
}

/** He's weights; what starts from 0 or 1 is near it and not at it, so that it takes part. */
export function weightsOf(network: Network, layout: ParameterLayout = layoutOf(network), seed = 1): Float32Array {
  const weights = new Float32Array(layout.size)
  layout.entries.forEach((entry, index) => {
    const values = weights.subarray(entry.offset, entry.offset + entry.size)
    initializeParameter(network, layout, index, { method: 'he', std: 0.01 }, seed, values)
    if (entry.kind === 'kernel') return
    const shift = new Float32Array(entry.size)
    fill(shift, seed + index, 0.2)
    shift.forEach((value, at) => (values[at] = (values[at] ?? 0) + value))
  })
  return weights
}

export function batchOf(network: Network, count: number, firstPosition = 0): Batch {
  const images = new Float32Array(network.inputShape.reduce((product, size) => product * size, count))
  fill(images, 1000 + firstPosition, 2)
  return { images, labels: Int32Array.from({ length: count }, (_, sample) => (sample * 3 + 1) % network.classes), count, firstPosition }
}

function fill(values: Float32Array, key: number, limit: number): void {
  const words = new Uint32Array(4)
  values.forEach((_, index) => {
    philox(index, 0, 0, 0, key, 1_000_000, words)
    values[index] = limit * (2 * uniformOf(words[0] ?? 0) - 1)
  })
}
