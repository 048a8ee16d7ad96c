import { philox } from '@lockstep/shared/random/philox.js'
import { PURPOSE } from '@lockstep/shared/random/purposes.js'
import type { LayerSpec, Network } from '@lockstep/shared/models/network.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { shapesOf, type LayerShapes } from '@lockstep/shared/models/shapes.js'

/**
 * A plain float64 forward pass of any network, written from the formulas and for nothing but tests: what the engine's
 * gradients are held against. One image at a time, [h, w, c] flat.
 */
export interface ReferenceOptions {
  readonly network: Network
  readonly seed: number
  /** With dropout. */
  readonly training: boolean
}

type Values = Float64Array

/** Soft-max cross entropy of one image. @param weights flat, in layout order; @param position stream position */
export function referenceLoss(options: ReferenceOptions, weights: Values, image: Values, label: number, position: number): number {
  const logits = referenceLogits(options, weights, image, position)
  const largest = logits.reduce((max, logit) => Math.max(max, logit), -Infinity)
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)
  return Math.log(total) + largest - (logits[label] ?? Number.NaN)
}

/** Logits of one image. */
export function referenceLogits({ network, seed, training }: ReferenceOptions, weights: Values, image: Values, position: number): Values {
  const layout = layoutOf(network)
  const parameter = (name: string): Values => {
    const entry = layout.entries.find((candidate) => candidate.name === name)
    if (entry === undefined) throw new Error(`no parameter ${name}`)
    return weights.subarray(entry.offset, entry.offset + entry.size)
  }
  let values = image
  shapesOf(network).forEach((shapes, index) => {
    const { layer } = shapes
    switch (layer.type) {
      case 'convolution':
        values = activate(
          layer.activation,
          convolve(shapes, layer, values, parameter(`${layer.name}/kernel`), parameter(`${layer.name}/bias`)),
        )
        break
      case 'dense':
        values = activate(layer.activation, multiply(values, parameter(`${layer.name}/kernel`), parameter(`${layer.name}/bias`)))
        break
      case 'maxPooling':
        values = pool(shapes, layer, values)
        break
      case 'localResponseNormalization':
        values = normalize(shapes, layer, values)
        break
      case 'globalAveragePooling':
        values = average(shapes, values)
        break
      case 'dropout':
        if (training) values = values.map((value, unit) => value * keptShare(unit, layer.rate, position, index, seed))
        break
      case 'flatten':
        break
    }
  })
  return values
}

/** Inverted dropout: 0 or 1 / (1 − rate), from the word of (unit, position, layer). */
function keptShare(unit: number, rate: number, position: number, layer: number, seed: number): number {
  const words = new Uint32Array(4)
  philox(Math.floor(unit / 4), position % 2 ** 32, Math.floor(position / 2 ** 32), layer, seed, PURPOSE.dropout, words)
  return (words[unit % 4] ?? 0) / 2 ** 32 < rate ? 0 : 1 / (1 - rate)
}

const activate = (activation: 'relu' | 'linear', values: Values): Values =>
  activation === 'relu' ? values.map((value) => Math.max(0, value)) : values

function convolve(
  { input, output }: LayerShapes,
  layer: Extract<LayerSpec, { type: 'convolution' }>,
  values: Values,
  kernel: Values,
  bias: Values,
): Values {
  const [height = 0, width = 0, channels = 0] = input
  const [rows = 0, columns = 0, filters = 0] = output
  const { kernel: size, stride } = layer
  // TensorFlow's "same": as many zeros as the last window needs, the odd one at the end.
  const before = (length: number, windows: number): number =>
    layer.padding === 'same' ? Math.floor(Math.max(0, (windows - 1) * stride + size - length) / 2) : 0
  const [top, left] = [before(height, rows), before(width, columns)]
  const result = new Float64Array(rows * columns * filters)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let filter = 0; filter < filters; filter++) {
        let sum = bias[filter] ?? 0
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const [sourceRow, sourceColumn] = [row * stride + y - top, column * stride + x - left]
            if (sourceRow < 0 || sourceRow >= height || sourceColumn < 0 || sourceColumn >= width) continue
            for (let channel = 0; channel < channels; channel++) {
              const value = values[(sourceRow * width + sourceColumn) * channels + channel] ?? 0
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

function pool({ input, output }: LayerShapes, { size, stride }: Extract<LayerSpec, { type: 'maxPooling' }>, values: Values): Values {
  const [, width = 0, channels = 0] = input
  const [rows = 0, columns = 0] = output
  const result = new Float64Array(rows * columns * channels).fill(-Infinity)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < channels; channel++) {
        const at = (row * columns + column) * channels + channel
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const source = ((row * stride + y) * width + column * stride + x) * channels + channel
            result[at] = Math.max(result[at] ?? 0, values[source] ?? 0)
          }
        }
      }
    }
  }
  return result
}

/** Krizhevsky 2012, section 3.3: b = a / (k + α Σ a²)^β over the neighbouring channels. */
function normalize(
  { input }: LayerShapes,
  { depthRadius, bias, alpha, beta }: Extract<LayerSpec, { type: 'localResponseNormalization' }>,
  values: Values,
): Values {
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
