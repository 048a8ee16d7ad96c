import { channelsOf, type ModelOptions } from './families.js'
import { headLayers, scaled } from './head.js'
import type { LayerSpec, Network } from './network.js'
import { squeezeExcitation } from './squeeze-excitation.js'

const FILTERS = [32, 64, 64] as const

/** The small network of tutorials: three 3×3 convolutions, a pooling between each two, one hidden layer. */
export function smallNetwork(model: ModelOptions, classes: number): Network {
  const layers = FILTERS.flatMap((filters, index): LayerSpec[] => {
    const number = String(index + 1)
    const [name, count] = [`conv${number}`, scaled(filters, model.width)]
    return [
      ...(index === 0 ? [] : [{ type: 'maxPooling', name: `pool${String(index)}`, size: 2, stride: 2 } as const]),
      { type: 'convolution', name, filters: count, kernel: 3, stride: 1, padding: 'valid', activation: 'relu' },
      ...(model.squeezeExcitation === undefined ? [] : squeezeExcitation(name, count, model.squeezeExcitation)),
    ]
  })
  return {
    name: 'small-cnn',
    inputShape: [model.inputSize, model.inputSize, channelsOf(model)],
    classes,
    layers: [...layers, ...headLayers(model, classes)],
  }
}
