/** A network's weights as another tool wrote them, made uniform: axes as ours, names still as in the file. */

export const FORMATS = [
  'safetensors',
  'torchvision',
  'keras2-h5',
  'keras2-weights',
  'keras3-h5',
  'keras3-weights',
  'keras',
  'tfjs',
] as const

/**
 * safetensors: our own tensor names. torchvision: a state dict with its names in safetensors. keras2-h5, keras3-h5: a whole model as HDF5.
 * keras2-weights, keras3-weights: weights alone. keras: the zip of Keras 3. tfjs: a LayersModel, model.json and its shards.
 */
export type FormatName = (typeof FORMATS)[number]

/** What a tensor is to its layer: the last part of our tensor names. */
export const TENSOR_ROLES = ['kernel', 'bias', 'gamma', 'beta', 'moving_mean', 'moving_variance'] as const
export type TensorRole = (typeof TENSOR_ROLES)[number]

export interface ForeignTensor {
  /** As the file has it, for messages. */
  readonly name: string
  /** The layer it belongs to: tensors with the same are one layer's. */
  readonly layer: string
  readonly role: TensorRole
  /** In our axes: HWIO for convolutions, in × out for dense layers (in: flattened height, width, channels). */
  readonly shape: readonly number[]
  /** The values in our axes, row-major. @throws TrainError CHECKPOINT_MISMATCH when they are not float32 */
  readonly read: () => Promise<Float32Array>
}

/** A layer of an architecture that the file states, as Keras names its classes and settings. */
export interface ForeignLayer {
  readonly className: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  /** Names of the layers whose outputs it takes, of a functional model. */
  readonly inputs?: readonly string[] | undefined
}

export interface ForeignModel {
  readonly format: FormatName
  /** Layers in network order, as far as the file knows an order. */
  readonly tensors: readonly ForeignTensor[]
  /** The architecture, of a file that has one. */
  readonly layers?: readonly ForeignLayer[] | undefined
  /** What an export of ours wrote beside the tensors: JSON, not yet checked. */
  readonly note?: string | undefined
  readonly close: () => Promise<void>
}
