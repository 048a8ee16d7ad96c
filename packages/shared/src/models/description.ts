import type { LayerSpec, Network } from './network.js'
import { elementsOf, shapesOf, type LayerShapes } from './shapes.js'

/** A line of the table a Keras user knows. */
export interface NetworkRow {
  readonly name: string
  /** Keras layer class: `Conv2D`. */
  readonly type: string
  /** Without the batch dimension. */
  readonly outputShape: readonly number[]
  readonly parameters: number
  /** Multiply-accumulates an image forward. */
  readonly macs: number
  /** float32 bytes of the output of one image; 0 where the output is the input's memory (flatten, dropout). */
  readonly activationBytes: number
}

export interface NetworkDescription {
  /** The input first, then every layer. */
  readonly rows: readonly NetworkRow[]
  readonly parameters: number
  readonly macs: number
  /** One image forward: the input and the output of every convolution, pooling and dense layer. */
  readonly activationBytes: number
  /** One image forward and backward: every activation and its gradient, so twice `activationBytes`. */
  readonly trainingBytes: number
}

const FLOAT_BYTES = 4

/**
 * The table of a network with its totals. Of configuration D at 224 pixels the activations are 15,237,608 values, 61 MB an
 * image forward; the often quoted 24 M values and 93 MB are an error that has been copied since a well-known lecture.
 */
export function describeNetwork(network: Network): NetworkDescription {
  const input: NetworkRow = {
    name: 'input',
    type: 'InputLayer',
    outputShape: network.inputShape,
    parameters: 0,
    macs: 0,
    activationBytes: elementsOf(network.inputShape) * FLOAT_BYTES,
  }
  const rows = [input, ...shapesOf(network).map(rowOf)]
  const total = (value: (row: NetworkRow) => number): number => rows.reduce((sum, row) => sum + value(row), 0)
  const activationBytes = total((row) => row.activationBytes)
  return {
    rows,
    parameters: total((row) => row.parameters),
    macs: total((row) => row.macs),
    activationBytes,
    trainingBytes: 2 * activationBytes,
  }
}

function rowOf({ layer, output, kernel }: LayerShapes): NetworkRow {
  const kernelSize = kernel === undefined ? 0 : elementsOf(kernel)
  const biases = kernel?.at(-1) ?? 0
  // A kernel's last dimension is its outputs; it is applied once at every position of the output.
  const positions = elementsOf(output.slice(0, -1))
  const inPlace = layer.type === 'flatten' || layer.type === 'dropout'
  return {
    name: layer.name,
    type: KERAS_CLASS[layer.type],
    outputShape: output,
    parameters: kernelSize + biases,
    macs: kernelSize * positions,
    activationBytes: inPlace ? 0 : elementsOf(output) * FLOAT_BYTES,
  }
}

const KERAS_CLASS: Record<LayerSpec['type'], string> = {
  convolution: 'Conv2D',
  maxPooling: 'MaxPooling2D',
  localResponseNormalization: 'LocalResponseNormalization',
  flatten: 'Flatten',
  globalAveragePooling: 'GlobalAveragePooling2D',
  dense: 'Dense',
  dropout: 'Dropout',
}
