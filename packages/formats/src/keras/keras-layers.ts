import { invariant, TrainError } from '@lockstep/shared/errors/train-error.js'
import { INPUT, inputsOf, type LayerSpec, type Network } from '@lockstep/shared/models/network.js'
import { shapesOf, type LayerShapes } from '@lockstep/shared/models/shapes.js'

/** A network of ours as layers of Keras, under the names that Keras gives its own VGG and residual networks. Pure. */

export interface KerasLayer {
  readonly name: string
  readonly className: string
  readonly config: Readonly<Record<string, unknown>>
  /** Names of the layers whose outputs it takes. */
  readonly inputs: readonly string[]
  /** Without the batch dimension. */
  readonly outputShape: readonly number[]
}

export const KERAS_INPUT = 'input_1'

/** What stands in the place of the last layer's own activation, by task. */
const LAST_ACTIVATION = { classes: 'softmax', binary: 'sigmoid', regression: 'linear' } as const
type LastActivation = (typeof LAST_ACTIVATION)[keyof typeof LAST_ACTIVATION]

const ORDER = { data_format: 'channels_last' }

/**
 * The layers in our order, the input first. The last one has the soft-max (of a binary task the sigmoid, of a regression nothing) that is in our loss.
 * @throws TrainError CHECKPOINT_MISMATCH naming a layer that Keras does not have
 */
export function kerasLayers(network: Network): KerasLayer[] {
  const written: KerasLayer[] = [{ name: KERAS_INPUT, className: 'InputLayer', config: {}, inputs: [], outputShape: network.inputShape }]
  // The layer of Keras that yields what ours does.
  const outputs = new Map([[INPUT, KERAS_INPUT]])
  const last = LAST_ACTIVATION[network.task ?? 'classes']
  const byName = new Map(network.layers.map((layer) => [layer.name, layer]))
  shapesOf(network).forEach((shapes, index) => {
    const taken = inputsOf(network, index)
    const inputs = taken.map((name) => outputs.get(name) ?? name)
    const isPositive = isRectified(byName.get(taken[0] ?? ''))
    const layers = describe(shapes, inputs, index === network.layers.length - 1 ? last : undefined, isPositive)
    if (layers === undefined) {
      const { layer } = shapes
      throw new TrainError(
        'CHECKPOINT_MISMATCH',
        `${network.name}: layer ${layer.name} (${layer.type}) cannot be written as a Keras layer; export the tensors by name, with --format safetensors`,
      )
    }
    written.push(...layers)
    outputs.set(shapes.layer.name, layers.at(-1)?.name ?? '')
  })
  invariant(new Set(written.map(({ name }) => name)).size === written.length, 'every Keras layer has a name of its own')
  return written
}

function isRectified(layer: LayerSpec | undefined): boolean {
  return layer !== undefined && 'activation' in layer && layer.activation === 'relu'
}

/**
 * The layers of Keras that one of ours is, one behind the other. That with the tensors has its name.
 * @param last what stands in the place of the last layer's own activation; @param isPositive whether its input has no negative values
 */
function describe(
  { layer, input, output }: LayerShapes,
  inputs: readonly string[],
  last: LastActivation | undefined,
  isPositive: boolean,
): KerasLayer[] | undefined {
  const { name } = layer
  if (last !== undefined && layer.type !== 'dense') return undefined
  const one = (className: string, config: KerasLayer['config'], outputShape = output): KerasLayer[] => [
    { name, className, config, inputs, outputShape },
  ]
  switch (layer.type) {
    case 'convolution': {
      const { filters, kernel, stride, padding, activation, groups = 1, useBias = true } = layer
      const sizes = { filters, kernel_size: [kernel, kernel], strides: [stride, stride] }
      const rest = { ...ORDER, dilation_rate: [1, 1], groups, activation, use_bias: useBias }
      if (typeof padding !== 'number') return one('Conv2D', { ...sizes, padding, ...rest })
      return padded(name, input, inputs, padding, one('Conv2D', { ...sizes, padding: 'valid', ...rest }))
    }
    case 'maxPooling': {
      const { size, stride, padding = 0 } = layer
      const sizes = { pool_size: [size, size], strides: [stride, stride] }
      if (padding === 'same') return one('MaxPooling2D', { ...sizes, padding, ...ORDER })
      const pooling = one('MaxPooling2D', { ...sizes, padding: 'valid', ...ORDER })
      if (padding === 0) return pooling
      // Keras has zeros where ours has nothing, which is the same only if nothing is below zero.
      return isPositive ? padded(name, input, inputs, padding, pooling) : undefined
    }
    case 'averagePooling': {
      const { size, stride, padding } = layer
      return one('AveragePooling2D', { pool_size: [size, size], strides: [stride, stride], padding, ...ORDER })
    }
    case 'activation':
      // These two have settings, or are named otherwise, from version to version.
      return layer.function === 'leakyRelu' || layer.function === 'relu6' ? undefined : one('Activation', { activation: layer.function })
    case 'concatenate':
      return one('Concatenate', { axis: -1 })
    case 'batchNormalization': {
      const { momentum, epsilon, activation } = layer
      const normalization = one('BatchNormalization', { axis: -1, momentum, epsilon, center: true, scale: true })
      return activation === 'relu' ? [...normalization, rectifier(`${name.replace(/_bn$/, '')}_relu`, name, output)] : normalization
    }
    case 'add': {
      if (layer.activation === 'linear') return one('Add', {})
      const sum = `${name.replace(/_out$/, '')}_add`
      return [{ name: sum, className: 'Add', config: {}, inputs, outputShape: output }, rectifier(name, sum, output)]
    }
    case 'scale': {
      const [maps = '', gate = ''] = inputs
      const single = [1, 1, output.at(-1) ?? 1]
      const reshape = { name: `${name}_gate`, className: 'Reshape', config: { target_shape: single }, inputs: [gate], outputShape: single }
      return [reshape, { name, className: 'Multiply', config: {}, inputs: [maps, reshape.name], outputShape: output }]
    }
    case 'flatten':
      return one('Flatten', ORDER)
    case 'globalAveragePooling':
      return one('GlobalAveragePooling2D', ORDER)
    case 'dense':
      return one('Dense', { units: layer.units, activation: last ?? layer.activation, use_bias: layer.useBias !== false })
    case 'dropout':
      return one('Dropout', { rate: layer.rate })
    case 'localResponseNormalization':
      return undefined
  }
}

function rectifier(name: string, input: string, outputShape: readonly number[]): KerasLayer {
  return { name, className: 'Activation', config: { activation: 'relu' }, inputs: [input], outputShape }
}

/** As many zeros on every side before the layer. Keras' own `same` has the odd one at the end. */
function padded(
  name: string,
  [height = 0, width = 0, channels = 0]: readonly number[],
  inputs: readonly string[],
  zeros: number,
  layers: readonly KerasLayer[],
): KerasLayer[] {
  const pad = `${name.replace(/_(conv|pool)$/, '')}_pad`
  const outputShape = [height + 2 * zeros, width + 2 * zeros, channels]
  const both = [zeros, zeros]
  const padding = { name: pad, className: 'ZeroPadding2D', config: { padding: [both, both], ...ORDER }, inputs, outputShape }
  return [padding, ...layers.map((layer) => ({ ...layer, inputs: [pad] }))]
}
