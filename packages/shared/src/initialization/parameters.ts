import { invariant } from '../errors/train-error.js'
import type { LayerSpec, Network } from '../models/network.js'
import type { ParameterEntry, ParameterLayout } from '../parameters/layout.js'
import { normalPair, uniformOf } from '../random/normal.js'
import { philox } from '../random/philox.js'
import { PURPOSE } from '../random/purposes.js'
import type { Recipe } from '../recipe/schema.js'

export type Initialization = Pick<Recipe['initialization'], 'method' | 'std'>

/**
 * Fills one whole parameter tensor with its initial values: a pure function of (seed, layer, element), so tensors can be
 * had at any time and in any order. Biases are 0 where the network does not say otherwise (AlexNet); batch normalization starts as
 * the identity: gamma and the moving variance are 1, beta and the moving mean 0.
 * @param entryIndex index in `layout.entries`
 * @param destination as long as the tensor
 */
export function initializeParameter(
  network: Network,
  layout: ParameterLayout,
  entryIndex: number,
  initialization: Initialization,
  seed: number,
  destination: Float32Array,
): void {
  const entry = layout.entries[entryIndex]
  invariant(entry !== undefined, `the layout has an entry ${String(entryIndex)}`)
  invariant(destination.length === entry.size, `the destination is as long as ${entry.name}`)
  const layer = layerIndexOf(network, entry)
  if (entry.kind !== 'kernel') {
    destination.fill(firstValueOf(network.layers[layer], entry.kind))
    return
  }
  const [fanIn, fanOut] = fansOf(entry.shape)
  switch (initialization.method) {
    case 'normal':
      fillNormal(destination, initialization.std, layer, seed)
      break
    case 'he':
      fillNormal(destination, Math.sqrt(2 / fanIn), layer, seed)
      break
    case 'glorot':
      fillNormal(destination, Math.sqrt(2 / (fanIn + fanOut)), layer, seed)
      break
    case 'heUniform':
      fillUniform(destination, Math.sqrt(6 / fanIn), layer, seed)
      break
    case 'glorotUniform':
      fillUniform(destination, Math.sqrt(6 / (fanIn + fanOut)), layer, seed)
      break
  }
}

function firstValueOf(layer: LayerSpec | undefined, kind: ParameterEntry['kind']): number {
  if (kind === 'gamma' || kind === 'movingVariance') return 1
  const given = layer?.type === 'convolution' || layer?.type === 'dense' ? layer.initialBias : undefined
  return kind === 'bias' ? (given ?? 0) : 0
}

/** Index in `network.layers` of the layer that a parameter belongs to. */
export function layerIndexOf(network: Network, entry: ParameterEntry): number {
  const name = entry.name.slice(0, entry.name.lastIndexOf('/'))
  const index = network.layers.findIndex((layer) => layer.name === name)
  invariant(index >= 0, `the network has a layer ${name}`)
  return index
}

/**
 * Fan-in and fan-out of a kernel, as He et al. 2015 (section 2.2) and Glorot & Bengio 2010 count them: the receptive field
 * times the channels on either side.
 */
export function fansOf(shape: readonly number[]): [fanIn: number, fanOut: number] {
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  const field = shape.slice(0, -2).reduce((product, dimension) => product * dimension, 1)
  return [field * inputs, field * outputs]
}

/** Two numbers a block: counter (index / 2 low, high, layer, 0). Plain normal numbers, not cut off. */
function fillNormal(destination: Float32Array, std: number, layer: number, seed: number): void {
  const words = new Uint32Array(4)
  const pair = new Float64Array(2)
  const size = destination.length
  for (let index = 0; index < size; index += 2) {
    const block = index / 2
    philox(block, Math.floor(block / 0x1_0000_0000), layer, 0, seed, PURPOSE.weights, words)
    normalPair(words[0] ?? 0, words[1] ?? 0, pair)
    destination[index] = std * (pair[0] ?? 0)
    if (index + 1 < size) destination[index + 1] = std * (pair[1] ?? 0)
  }
}

/** Four numbers a block: counter (index / 4 low, high, layer, 0). */
function fillUniform(destination: Float32Array, limit: number, layer: number, seed: number): void {
  const words = new Uint32Array(4)
  for (let index = 0; index < destination.length; index++) {
    if (index % 4 === 0) {
      const block = index / 4
      philox(block, Math.floor(block / 0x1_0000_0000), layer, 0, seed, PURPOSE.weights, words)
    }
    destination[index] = limit * (2 * uniformOf(words[index % 4] ?? 0) - 1)
  }
}
