import { TrainError, invariant } from '../errors/train-error.js'
import type { ParameterEntry } from '../parameters/layout.js'
import { INPUT, inputsOf, type LayerSpec, type Network } from './graph.js'

/** One tensor of a layer that is part of the flat vector. */
export type LayerTensor = Pick<ParameterEntry, 'kind' | 'shape'>

/** Shapes of one layer for one image, without the batch dimension. */
export interface LayerShapes {
  readonly layer: LayerSpec
  /** [h, w, c] or [units]; of several inputs the first. */
  readonly input: readonly number[]
  /** Every input, in the layer's order. */
  readonly inputs: readonly (readonly number[])[]
  readonly output: readonly number[]
  /** HWIO, or in × out; absent for layers without one. */
  readonly kernel?: readonly number[]
  /** Parameters first, then batch statistics; none for most layers. */
  readonly tensors: readonly LayerTensor[]
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
  const known = new Map<string, readonly number[]>([[INPUT, network.inputShape]])
  return network.layers.map((layer, index) => {
    const inputs = inputsOf(network, index).map((name) => {
      const shape = known.get(name)
      invariant(shape !== undefined, `layer ${name} stands before ${layer.name}, which takes it`)
      return shape
    })
    const shapes = layerShapes(layer, inputs)
    invariant(!known.has(layer.name), `there is one layer ${layer.name}`)
    known.set(layer.name, shapes.output)
    return shapes
  })
}

/**
 * The shapes of one layer. @param inputs shapes of what it takes, in its order
 * @throws TrainError RECIPE_INVALID when it leaves nothing of its input
 */
export function layerShapes(layer: LayerSpec, inputs: readonly (readonly number[])[]): LayerShapes {
  const [input] = inputs
  invariant(input !== undefined, `layer ${layer.name} has an input`)
  const kernel = kernelOf(layer, input)
  const output = outputOf(layer, inputs)
  if (output.some((dimension) => dimension < 1)) {
    throw new TrainError(
      'RECIPE_INVALID',
      `model.inputSize: nothing is left of an input of ${input.join(' × ')} at layer ${layer.name}; use a larger input.`,
    )
  }
  const tensors = tensorsOf(layer, input, kernel)
  return { layer, input, inputs, output, tensors, ...(kernel === undefined ? {} : { kernel }) }
}

function kernelOf(layer: LayerSpec, input: readonly number[]): readonly number[] | undefined {
  const channels = input.at(-1)
  invariant(channels !== undefined, `layer ${layer.name} has an input`)
  if (layer.type === 'convolution') {
    const groups = layer.groups ?? 1
    invariant(channels % groups === 0 && layer.filters % groups === 0, `the channels of ${layer.name} divide into its groups`)
    return [layer.kernel, layer.kernel, channels / groups, layer.filters]
  }
  if (layer.type === 'dense') {
    invariant(input.length === 1, `dense layer ${layer.name} stands behind flatten or global average pooling`)
    return [channels, layer.units]
  }
  return undefined
}

function tensorsOf(layer: LayerSpec, input: readonly number[], kernel: readonly number[] | undefined): LayerTensor[] {
  if (layer.type === 'batchNormalization') {
    const shape = input.slice(-1)
    return (['gamma', 'beta', 'movingMean', 'movingVariance'] as const).map((kind) => ({ kind, shape }))
  }
  if (kernel === undefined) return []
  const hasBias = !((layer.type === 'convolution' || layer.type === 'dense') && layer.useBias === false)
  return [{ kind: 'kernel', shape: kernel }, ...(hasBias ? [{ kind: 'bias', shape: kernel.slice(-1) } as const] : [])]
}

function outputOf(layer: LayerSpec, inputs: readonly (readonly number[])[]): readonly number[] {
  const [input = [], second = []] = inputs
  const [height = 0, width = 0, channels = 0] = input
  switch (layer.type) {
    case 'convolution': {
      const along = (size: number): number => windowsAlong(size, layer.kernel, layer.stride, layer.padding)
      return [along(height), along(width), layer.filters]
    }
    case 'maxPooling': {
      const along = (size: number): number => windowsAlong(size, layer.size, layer.stride, layer.padding ?? 'valid')
      return [along(height), along(width), channels]
    }
    case 'averagePooling': {
      const along = (size: number): number => windowsAlong(size, layer.size, layer.stride, layer.padding)
      return [along(height), along(width), channels]
    }
    case 'concatenate':
      return [...input.slice(0, -1), inputs.reduce((sum, shape) => sum + (shape.at(-1) ?? 0), 0)]
    case 'flatten':
      return [elementsOf(input)]
    case 'globalAveragePooling':
      return [channels]
    case 'dense':
      return [layer.units]
    case 'add':
      invariant(input.join() === second.join(), `both inputs of ${layer.name} have one shape`)
      return input
    case 'scale':
      invariant(second.join() === String(channels), `the gate of ${layer.name} has a value for each of its maps`)
      return input
    case 'localResponseNormalization':
    case 'batchNormalization':
    case 'dropout':
    case 'activation':
      return input
  }
}

/** How often a window of `size` fits along a side; below 1 when not at all. */
function windowsAlong(length: number, size: number, stride: number, padding: 'same' | 'valid' | number): number {
  if (padding === 'same') return Math.ceil(length / stride)
  return Math.floor((length + 2 * (padding === 'valid' ? 0 : padding) - size) / stride) + 1
}
