import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { networkOf } from '@lockstep/shared/models/network.js'
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

/** VGG-A, narrow. */
export function smallVgg(): Network {
  return networkOf({ name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [32, 32], dropout: 0.5, head: 'flatten' }, 10)
}

/** He's weights; biases are small and not 0, so that they take part. */
export function weightsOf(network: Network, layout: ParameterLayout = layoutOf(network), seed = 1): Float32Array {
  const weights = new Float32Array(layout.size)
  layout.entries.forEach((entry, index) => {
    const values = weights.subarray(entry.offset, entry.offset + entry.size)
    if (entry.kind === 'bias') fill(values, seed + index, 0.2)
    else initializeParameter(network, layout, index, { method: 'he', std: 0.01 }, seed, values)
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
