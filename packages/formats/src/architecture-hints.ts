import type { ForeignModel } from './foreign-model.js'

/** What the stated layers of a file say of its network. Pure. */

/** What Keras adds to a variance where nothing is said; PyTorch and we add 1e-5. */
export const KERAS_EPSILON = 0.001

export interface ArchitectureHints {
  /** Height and width of the input, pixels. */
  readonly inputSize?: number | undefined
  /** What stands before the dense layers. */
  readonly head?: 'flatten' | 'globalAveragePooling'
  /** The share dropped. */
  readonly dropout?: number
  /** What the first batch normalization adds to a variance; others are compared with it later. */
  readonly normalizationEpsilon?: number | undefined
}

/** Nothing where the file states no layers. */
export function architectureHints({ layers }: Pick<ForeignModel, 'layers'>): ArchitectureHints {
  if (layers === undefined) return {}
  const inputSize = layers.map(({ config }) => inputSideOf(config)).find((side) => side !== undefined)
  // Squeeze-and-excitation blocks take averages too; the head's is the last.
  const joint = layers.findLast(({ className }) => className === 'GlobalAveragePooling2D' || className === 'Flatten')
  const rate = layers.find(({ className }) => className === 'Dropout')?.config.rate
  const normalization = layers.find(({ className }) => className === 'BatchNormalization')
  const epsilon = normalization === undefined ? undefined : (normalization.config.epsilon ?? KERAS_EPSILON)
  return {
    inputSize,
    head: joint?.className === 'GlobalAveragePooling2D' ? 'globalAveragePooling' : 'flatten',
    dropout: typeof rate === 'number' ? rate : 0,
    normalizationEpsilon: typeof epsilon === 'number' ? epsilon : undefined,
  }
}

/** [batch, height, width, channels] of an input layer, or of a first layer that has the input in it. */
function inputSideOf(config: Readonly<Record<string, unknown>>): number | undefined {
  const shape = config.batch_shape ?? config.batch_input_shape
  const side: unknown = Array.isArray(shape) ? shape[1] : undefined
  return typeof side === 'number' && shape !== undefined && Array.isArray(shape) && shape.length === 4 ? side : undefined
}
