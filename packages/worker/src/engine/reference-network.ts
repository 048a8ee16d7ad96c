import { philox } from '@lockstep/shared/random/philox.js'
import { PURPOSE } from '@lockstep/shared/random/purposes.js'
import {
  INPUT,
  inputsOf,
  type BatchNormalizationSpec,
  type ConvolutionSpec,
  type LocalResponseNormalizationSpec,
  type MaxPoolingSpec,
  type Network,
} from '@lockstep/shared/models/network.js'
import type { ActivationSpec, AveragePoolingSpec } from '@lockstep/shared/models/graph.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { shapesOf, type LayerShapes } from '@lockstep/shared/models/shapes.js'

/**
 * A plain float64 forward pass of any network, written from the formulas and for nothing but tests: what the engine's
 * gradients are held against. Images are [h, w, c] flat; those of a micro-batch go together, since batch normalization couples them.
 */
export interface ReferenceOptions {
  readonly network: Network
  readonly seed: number
  /** With dropout, and normalized by the micro-batch's own mean and variance. */
  readonly training: boolean
}

type Values = Float64Array

/** Of a micro-batch: sample i is at stream position firstPosition + i. */
export interface ReferenceBatch {
  readonly images: readonly Values[]
  readonly firstPosition: number
}

/** Soft-max cross entropy of every image, or the squared error of a regression. @param weights flat, in layout order */
export function referenceLosses(options: ReferenceOptions, weights: Values, batch: ReferenceBatch, labels: ArrayLike<number>): number[] {
  const { task, targets = [] } = options.network
  return referenceLogits(options, weights, batch).map((logits, sample) => {
    if (task === 'regression') return ((logits[0] ?? Number.NaN) - (targets[labels[sample] ?? -1] ?? Number.NaN)) ** 2
    const largest = logits.reduce((max, logit) => Math.max(max, logit), -Infinity)
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)
    return Math.log(total) + largest - (logits[labels[sample] ?? -1] ?? Number.NaN)
  })
}

/** Logits of every image. */
export function referenceLogits(options: ReferenceOptions, weights: Values, batch: ReferenceBatch): Values[] {
  return referenceOutputs(options, weights, batch).get(options.network.layers.at(-1)?.name ?? '') ?? []
}

/** The outputs of every layer, an array a sample. */
export function referenceOutputs(
  options: ReferenceOptions,
  weights: Values,
  { images, firstPosition }: ReferenceBatch,
): Map<string, Values[]> {
  const { network, seed, training } = options
  const layout = layoutOf(network)
  const parameter = (name: string): Values => {
    const entry = layout.entries.find((candidate) => candidate.name === name)
    if (entry === undefined) throw new Error(`no parameter ${name}`)
    return weights.subarray(entry.offset, entry.offset + entry.size)
  }
  const outputs = new Map<string, Values[]>([[INPUT, [...images]]])
  shapesOf(network).forEach((shapes, index) => {
    const { layer } = shapes
    const taken = inputsOf(network, index).map((name) => outputs.get(name) ?? [])
    const [inputs = [], others = []] = taken
    if (layer.type === 'concatenate') {
      const join = (sample: number): Values =>
        concatenate(
          taken.map((each) => each[sample] ?? new Float64Array()),
          shapes.inputs,
        )
      outputs.set(
        layer.name,
        inputs.map((_, sample) => join(sample)),
      )
      return
    }
    if (layer.type === 'batchNormalization') {
      outputs.set(layer.name, normalizeBatch(layer, inputs, parameter, training))
      return
    }
    const forward = (values: Values, sample: number): Values => {
      if (layer.type !== 'dropout') return layerOutput(shapes, values, others[sample] ?? values, parameter)
      return training ? values.map((value, unit) => value * keptShare(unit, layer.rate, firstPosition + sample, index, seed)) : values
    }
    outputs.set(layer.name, inputs.map(forward))
  })
  return outputs
}

/** One layer that sees one sample at a time. @param other the second input, where there is one */
function layerOutput(shapes: LayerShapes, values: Values, other: Values, parameter: (name: string) => Values): Values {
  const { layer } = shapes
  const kernel = (): Values => parameter(`${layer.name}/kernel`)
  switch (layer.type) {
    case 'convolution': {
      const bias = layer.useBias === false ? new Float64Array(layer.filters) : parameter(`${layer.name}/bias`)
      return activate(layer.activation, convolve(shapes, layer, values, kernel(), bias))
    }
    case 'dense':
      return activate(
        layer.activation,
        multiply(values, kernel(), layer.useBias === false ? new Float64Array(layer.units) : parameter(`${layer.name}/bias`)),
      )
    case 'activation':
      return values.map((value) => functionValue(layer, value))
    case 'averagePooling':
      return averagePool(shapes, layer, values)
    case 'maxPooling':
      return pool(shapes, layer, values)
    case 'localResponseNormalization':
      return normalize(shapes, layer, values)
    case 'globalAveragePooling':
      return average(shapes, values)
    case 'add':
      return activate(
        layer.activation,
        values.map((value, index) => value + (other[index] ?? Number.NaN)),
      )
    case 'scale':
      return values.map((value, index) => value * (other[index % other.length] ?? Number.NaN))
    default:
      return values
  }
}

/** Ioffe & Szegedy 2015, algorithm 1, over samples and pixels; in evaluation with the moving mean and variance. */
function normalizeBatch(
  { name, epsilon, activation }: BatchNormalizationSpec,
  inputs: readonly Values[],
  parameter: (name: string) => Values,
  training: boolean,
): Values[] {
  const [gamma, beta] = [parameter(`${name}/gamma`), parameter(`${name}/beta`)]
  const { mean, variance } = training
    ? momentsOf(inputs, gamma.length)
    : { mean: parameter(`${name}/moving_mean`), variance: parameter(`${name}/moving_variance`) }
  return inputs.map((values) => {
    const normalized = values.map((value, index) => {
      const channel = index % gamma.length
      const scale = (gamma[channel] ?? Number.NaN) / Math.sqrt((variance[channel] ?? Number.NaN) + epsilon)
      return (value - (mean[channel] ?? Number.NaN)) * scale + (beta[channel] ?? Number.NaN)
    })
    return activate(activation, normalized)
  })
}

/** Mean and biased variance of every channel. */
export function momentsOf(inputs: readonly Values[], channels: number): { mean: Values; variance: Values; count: number } {
  const count = inputs.reduce((sum, values) => sum + values.length, 0) / channels
  const [mean, variance] = [new Float64Array(channels), new Float64Array(channels)]
  for (const values of inputs) values.forEach((value, index) => (mean[index % channels] = (mean[index % channels] ?? 0) + value / count))
  for (const values of inputs) {
    values.forEach((value, index) => {
      const channel = index % channels
      variance[channel] = (variance[channel] ?? 0) + (value - (mean[channel] ?? 0)) ** 2 / count
    })
  }
  return { mean, variance, count }
}

/** Inverted dropout: 0 or 1 / (1 − rate), from the word of (unit, position, layer). */
function keptShare(unit: number, rate: number, position: number, layer: number, seed: number): number {
  const words = new Uint32Array(4)
  philox(Math.floor(unit / 4), position % 2 ** 32, Math.floor(position / 2 ** 32), layer, seed, PURPOSE.dropout, words)
  return (words[unit % 4] ?? 0) / 2 ** 32 < rate ? 0 : 1 / (1 - rate)
}

function activate(activation: 'relu' | 'linear' | 'sigmoid', values: Values): Values {
  if (activation === 'linear') return values
  return values.map((value) => (activation === 'relu' ? Math.max(0, value) : 1 / (1 + Math.exp(-value))))
}

function convolve({ input, output }: LayerShapes, layer: ConvolutionSpec, values: Values, kernel: Values, bias: Values): Values {
  const [height = 0, width = 0, allChannels = 0] = input
  const [rows = 0, columns = 0, filters = 0] = output
  const { kernel: size, stride, padding, groups = 1 } = layer
  const [channels, filtersOfGroup] = [allChannels / groups, filters / groups]
  const before = (length: number, windows: number): number => {
    if (padding === 'same') return placesBefore(length, windows, size, stride)
    return padding === 'valid' ? 0 : padding
  }
  const [top, left] = [before(height, rows), before(width, columns)]
  const result = new Float64Array(rows * columns * filters)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let filter = 0; filter < filters; filter++) {
        const group = Math.floor(filter / filtersOfGroup)
        let sum = bias[filter] ?? 0
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const [sourceRow, sourceColumn] = [row * stride + y - top, column * stride + x - left]
            if (sourceRow < 0 || sourceRow >= height || sourceColumn < 0 || sourceColumn >= width) continue
            for (let channel = 0; channel < channels; channel++) {
              const value = values[(sourceRow * width + sourceColumn) * allChannels + group * channels + channel] ?? 0
              sum += value * (kernel[((y * size + x) * channels + channel) * filters + filter] ?? 0)
            }
          }
        }
        result[(row * columns + column) * filters + filter] = sum
      }
    }
  }
  return result
}

function multiply(values: Values, kernel: Values, bias: Values): Values {
  const units = bias.length
  return bias.map((start, unit) => values.reduce((sum, value, index) => sum + value * (kernel[index * units + unit] ?? 0), start))
}

/** The channels of every place one after the other. */
function concatenate(inputs: readonly Values[], shapes: readonly (readonly number[])[]): Values {
  const places = shapes[0]?.slice(0, -1).reduce((product, size) => product * size, 1) ?? 1
  const joined: number[] = []
  for (let place = 0; place < places; place++) {
    inputs.forEach((values, index) => {
      const channels = shapes[index]?.at(-1) ?? 0
      joined.push(...values.subarray(place * channels, (place + 1) * channels))
    })
  }
  return Float64Array.from(joined)
}

function functionValue({ function: name, slope = 0.3 }: ActivationSpec, x: number): number {
  const sigmoid = 1 / (1 + Math.exp(-x))
  const elu = x > 0 ? x : Math.exp(x) - 1
  const values = {
    relu: Math.max(0, x),
    relu6: Math.min(6, Math.max(0, x)),
    leakyRelu: x > 0 ? x : slope * x,
    sigmoid,
    tanh: Math.tanh(x),
    elu,
    // Klambauer et al. 2017.
    selu: 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * elu),
    softplus: Math.log1p(Math.exp(x)),
    softsign: x / (1 + Math.abs(x)),
    swish: x * sigmoid,
  }
  return values[name]
}

/** TensorFlow's "same": as many places as the last window needs, the odd one at the end. */
function placesBefore(length: number, windows: number, size: number, stride: number): number {
  return Math.floor(Math.max(0, (windows - 1) * stride + size - length) / 2)
}

/** The mean of what of a window lies inside. */
function averagePool({ input, output }: LayerShapes, { size, stride, padding }: AveragePoolingSpec, values: Values): Values {
  const [height = 0, width = 0, channels = 0] = input
  const [rows = 0, columns = 0] = output
  const before = (length: number, windows: number): number => (padding === 'same' ? placesBefore(length, windows, size, stride) : 0)
  const [top, left] = [before(height, rows), before(width, columns)]
  return Float64Array.from({ length: rows * columns * channels }, (_, at) => {
    const [place, channel] = [Math.floor(at / channels), at % channels]
    const [row, column] = [Math.floor(place / columns) * stride - top, (place % columns) * stride - left]
    let [sum, inside] = [0, 0]
    for (let y = Math.max(0, row); y < Math.min(height, row + size); y++) {
      for (let x = Math.max(0, column); x < Math.min(width, column + size); x++) {
        sum += values[(y * width + x) * channels + channel] ?? 0
        inside++
      }
    }
    return sum / inside
  })
}

function pool({ input, output }: LayerShapes, { size, stride, padding = 0 }: MaxPoolingSpec, values: Values): Values {
  const [height = 0, width = 0, channels = 0] = input
  const [rows = 0, columns = 0] = output
  const before = (length: number, windows: number): number => (padding === 'same' ? placesBefore(length, windows, size, stride) : padding)
  const [top, left] = [before(height, rows), before(width, columns)]
  const result = new Float64Array(rows * columns * channels).fill(-Infinity)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const [sourceRow, sourceColumn] = [row * stride + y - top, column * stride + x - left]
          if (sourceRow < 0 || sourceRow >= height || sourceColumn < 0 || sourceColumn >= width) continue
          for (let channel = 0; channel < channels; channel++) {
            const at = (row * columns + column) * channels + channel
            result[at] = Math.max(result[at] ?? 0, values[(sourceRow * width + sourceColumn) * channels + channel] ?? 0)
          }
        }
      }
    }
  }
  return result
}

/** Krizhevsky 2012, section 3.3: b = a / (k + α Σ a²)^β over the neighbouring channels. */
function normalize({ input }: LayerShapes, { depthRadius, bias, alpha, beta }: LocalResponseNormalizationSpec, values: Values): Values {
  const channels = input.at(-1) ?? 1
  return values.map((value, index) => {
    const channel = index % channels
    let squares = 0
    for (let other = Math.max(0, channel - depthRadius); other <= Math.min(channels - 1, channel + depthRadius); other++) {
      squares += (values[index - channel + other] ?? 0) ** 2
    }
    return value / (bias + alpha * squares) ** beta
  })
}

function average({ input }: LayerShapes, values: Values): Values {
  const channels = input.at(-1) ?? 1
  const positions = values.length / channels
  const result = new Float64Array(channels)
  values.forEach((value, index) => {
    result[index % channels] = (result[index % channels] ?? 0) + value / positions
  })
  return result
}
