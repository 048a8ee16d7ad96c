import { channelsOf, type ModelOptions } from './families.js'
import { headLayers, scaled } from './head.js'
import type { ConvolutionSpec, LayerSpec, Network } from './network.js'
import { squeezeExcitation } from './squeeze-excitation.js'

/** Krizhevsky 2012, section 3.3: k 2, n 5, alpha 1e-4, beta 0.75. */
export const LOCAL_RESPONSE_NORMALIZATION = { depthRadius: 2, bias: 2, alpha: 1e-4, beta: 0.75 } as const

/** Convolutions of Krizhevsky 2012, section 3.5: those of a GPU see only its own maps (`grouped`), and some biases start at 1. */
const CONVOLUTIONS = [
  { filters: 96, kernel: 11, stride: 4, padding: 'valid', grouped: false, initialBias: 0, normalized: true, pooled: true },
  { filters: 256, kernel: 5, stride: 1, padding: 'same', grouped: true, initialBias: 1, normalized: true, pooled: true },
  { filters: 384, kernel: 3, stride: 1, padding: 'same', grouped: false, initialBias: 0, normalized: false, pooled: false },
  { filters: 384, kernel: 3, stride: 1, padding: 'same', grouped: true, initialBias: 1, normalized: false, pooled: false },
  { filters: 256, kernel: 3, stride: 1, padding: 'same', grouped: true, initialBias: 1, normalized: false, pooled: true },
] as const

/** The network of Krizhevsky, Sutskever & Hinton 2012, in two groups as published or in one. */
export function alexNetwork(model: ModelOptions, classes: number): Network {
  const groups = model.groups ?? 2
  const layers: LayerSpec[] = []
  CONVOLUTIONS.forEach(({ filters, kernel, stride, padding, grouped, initialBias, normalized, pooled }, index) => {
    const number = String(index + 1)
    // Both groups get the same number of maps, whatever the width.
    const count = groups * scaled(filters / groups, model.width)
    const convolution: ConvolutionSpec = {
      ...{ type: 'convolution', name: `conv${number}`, filters: count, kernel, stride, padding, activation: 'relu' },
      ...(grouped && groups > 1 ? { groups } : {}),
      ...(initialBias === 0 ? {} : { initialBias }),
    }
    layers.push(convolution)
    if (model.squeezeExcitation !== undefined) layers.push(...squeezeExcitation(convolution.name, count, model.squeezeExcitation))
    if (normalized) layers.push({ type: 'localResponseNormalization', name: `lrn${number}`, ...LOCAL_RESPONSE_NORMALIZATION })
    if (pooled) layers.push({ type: 'maxPooling', name: `pool${number}`, size: 3, stride: 2 })
  })
  return {
    name: 'alexnet',
    inputShape: [model.inputSize, model.inputSize, channelsOf(model)],
    classes,
    layers: [...layers, ...headLayers(model, classes, 1)],
  }
}

/** Krizhevsky 2014, as torchvision has it: one tower, no local response normalization, two zeros around the picture. */
const SINGLE_TOWER = [
  { filters: 64, kernel: 11, stride: 4, padding: 2, pooled: true },
  { filters: 192, kernel: 5, stride: 1, padding: 'same', pooled: true },
  { filters: 384, kernel: 3, stride: 1, padding: 'same', pooled: false },
  { filters: 256, kernel: 3, stride: 1, padding: 'same', pooled: false },
  { filters: 256, kernel: 3, stride: 1, padding: 'same', pooled: true },
] as const

/**
 * What PyTorch calls AlexNet: the single tower of Krizhevsky's "One weird trick for parallelizing convolutional neural networks"
 * (arXiv 1404.5997). Its dropout stands behind the hidden layers, as in 2012; torchvision's stands before them.
 */
export function singleTowerNetwork(model: ModelOptions, classes: number): Network {
  const layers = SINGLE_TOWER.flatMap(({ filters, kernel, stride, padding, pooled }, index): LayerSpec[] => {
    const number = String(index + 1)
    const [name, count] = [`conv${number}`, scaled(filters, model.width)]
    return [
      { type: 'convolution', name, filters: count, kernel, stride, padding, activation: 'relu' },
      ...(model.squeezeExcitation === undefined ? [] : squeezeExcitation(name, count, model.squeezeExcitation)),
      ...(pooled ? [{ type: 'maxPooling', name: `pool${number}`, size: 3, stride: 2 } as const] : []),
    ]
  })
  return {
    name: 'alexnet-2014',
    inputShape: [model.inputSize, model.inputSize, channelsOf(model)],
    classes,
    layers: [...layers, ...headLayers(model, classes)],
  }
}
