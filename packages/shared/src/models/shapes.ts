import { TrainError, invariant } from '../errors/train-error.js'
import type { LayerSpec, Network } from './network.js'

/** Shapes of one layer for one image, without the batch dimension. */
export interface LayerShapes {
  readonly layer: LayerSpec
  /** [h, w, c] or [units]. */
  readonly input: readonly number[]
  readonly output: readonly number[]
  /** HWIO, or in × out; absent for layers without parameters. Every kernel has a bias of its last dimension. */
  readonly kernel?: readonly number[]
}

/** Product of dimensions; 1 for a scalar. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1)
}

/**
 * The shapes of every layer, in network order.
 * @throws TrainError RECIPE_INVALID when a layer leaves nothing of its input
 */
export function shapesOf(network: Network): LayerShapes[] {
  let current: readonly number[] = network.inputShape
  return network.layers.map((layer) => {
    const input = current
    const kernel = kernelOf(layer, input)
    const output = outputOf(layer, input)
    if (output.some((dimension) => dimension < 1)) {
      throw new TrainError(
        'RECIPE_INVALID',
        `model.inputSize: nothing is left of an input of ${input.join(' × ')} at layer ${layer.name}; use a larger input.`,
      )
    }
    current = output
    return kernel === undefined ? { layer, input, output } : { layer, input, output, kernel }
  })
}

function kernelOf(layer: LayerSpec, input: readonly number[]): readonly number[] | undefined {
  const channels = input.at(-1)
  invariant(channels !== undefined, `layer ${layer.name} has an input`)
  if (layer.type === 'convolution') return [layer.kernel, layer.kernel, channels, layer.filters]
  if (layer.type === 'dense') {
    invariant(input.length === 1, `dense layer ${layer.name} stands behind flatten or global average pooling`)
    return [channels, layer.units]
  }
  return undefined
}

function outputOf(layer: LayerSpec, input: readonly number[]): readonly number[] {
  const [height = 0, width = 0, channels = 0] = input
  switch (layer.type) {
    case 'convolution': {
      const along = (size: number): number =>
        layer.padding === 'same' ? Math.ceil(size / layer.stride) : Math.floor((size - layer.kernel) / layer.stride) + 1
      return [along(height), along(width), layer.filters]
    }
    case 'maxPooling': {
      const along = (size: number): number => Math.floor((size - layer.size) / layer.stride) + 1
      return [along(height), along(width), channels]
    }
    case 'flatten':
      return [elementsOf(input)]
    case 'globalAveragePooling':
      return [channels]
    case 'dense':
      return [layer.units]
    case 'localResponseNormalization':
    case 'dropout':
      return input
  }
}
