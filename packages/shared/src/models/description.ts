import { isStatistic } from '../parameters/layout.js'
import { inputsOf, type LayerSpec, type Network } from './network.js'
import { elementsOf, shapesOf, type LayerShapes } from './shapes.js'

/** A line of the table a Keras user knows. */
export interface NetworkRow {
  readonly name: string
  /** Keras layer class: `Conv2D`. */
  readonly type: string
  /** Without the batch dimension. */
  readonly outputShape: readonly number[]
  readonly parameters: number
  /** Values of batch statistics, which are not trained. */
  readonly statistics: number
  /** Its parameters and batch statistics stay as they are. */
  readonly frozen: boolean
  /** The layers whose outputs it takes. */
  readonly inputs: readonly string[]
  /** Multiply-accumulates an image forward: those of convolutions and dense layers. */
  readonly macs: number
  /** float32 bytes of the output of one image; 0 where the output is the input's memory (flatten, dropout). */
  readonly activationBytes: number
}

export interface NetworkDescription {
  /** The input first, then every layer. */
  readonly rows: readonly NetworkRow[]
  readonly parameters: number
  /** Those of `parameters` that stay as they are. */
  readonly frozen: number
  readonly statistics: number
  readonly macs: number
  /** One image forward: the input and the output of every layer but flatten and dropout. */
  readonly activationBytes: number
  /** One image forward and backward: every activation and, from the first trained layer on, its gradient. Without frozen layers twice `activationBytes`. */
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
    statistics: 0,
    frozen: shapesOf(network)[0]?.layer.trainable === false,
    inputs: [],
    macs: 0,
    activationBytes: elementsOf(network.inputShape) * FLOAT_BYTES,
  }
  const rows = [input, ...shapesOf(network).map((shapes, index) => rowOf(shapes, inputsOf(network, index)))]
  const total = (value: (row: NetworkRow) => number): number => rows.reduce((sum, row) => sum + value(row), 0)
  const activationBytes = total((row) => row.activationBytes)
  return {
    rows,
    parameters: total((row) => row.parameters),
    frozen: total((row) => (row.frozen ? row.parameters : 0)),
    statistics: total((row) => row.statistics),
    macs: total((row) => row.macs),
    activationBytes,
    trainingBytes: activationBytes + total((row) => (row.frozen ? 0 : row.activationBytes)),
  }
}

function rowOf({ layer, output, kernel, tensors }: LayerShapes, inputs: readonly string[]): NetworkRow {
  const kernelSize = kernel === undefined ? 0 : elementsOf(kernel)
  const sizeOf = (statistics: boolean): number =>
    tensors.reduce((sum, { kind, shape }) => (isStatistic(kind) === statistics ? sum + elementsOf(shape) : sum), 0)
  // A kernel's last dimension is its outputs; it is applied once at every position of the output.
  const positions = elementsOf(output.slice(0, -1))
  const inPlace = layer.type === 'flatten' || layer.type === 'dropout'
  return {
    name: layer.name,
    type: KERAS_CLASS[layer.type],
    outputShape: output,
    parameters: sizeOf(false),
    statistics: sizeOf(true),
    frozen: layer.trainable === false,
    inputs,
    macs: kernelSize * positions,
    activationBytes: inPlace ? 0 : elementsOf(output) * FLOAT_BYTES,
  }
}

const KERAS_CLASS: Record<LayerSpec['type'], string> = {
  convolution: 'Conv2D',
  maxPooling: 'MaxPooling2D',
  averagePooling: 'AveragePooling2D',
  localResponseNormalization: 'LocalResponseNormalization',
  batchNormalization: 'BatchNormalization',
  activation: 'Activation',
  add: 'Add',
  concatenate: 'Concatenate',
  scale: 'Multiply',
  flatten: 'Flatten',
  globalAveragePooling: 'GlobalAveragePooling2D',
  dense: 'Dense',
  dropout: 'Dropout',
}
