import { isListed, outputUnits, type HeadLayer, type ModelOptions } from './families.js'
import type { LayerSpec } from './network.js'

/** A number of channels at a width: at least one. */
export function scaled(channels: number, width: number): number {
  return Math.max(1, Math.round(channels * width))
}

/**
 * What follows the convolutions: flatten or global average pooling, the hidden fully connected layers with dropout after each
 * (at rate 0 there is no such layer), and the logits.
 * @param initialBias what the biases of the hidden layers start from, where that is not 0
 */
export function headLayers(model: ModelOptions, classes: number, initialBias?: number): LayerSpec[] {
  const predictions: LayerSpec = { type: 'dense', name: 'predictions', units: outputUnits(model, classes), activation: 'linear' }
  if (isListed(model.head)) return [...listedLayers(model.head), predictions]
  const first: LayerSpec =
    model.head === 'flatten' ? { type: 'flatten', name: 'flatten' } : { type: 'globalAveragePooling', name: 'global_average_pooling' }
  const hidden = model.fullyConnected.flatMap((units, index): LayerSpec[] => {
    const name = `fc${String(index + 1)}`
    const dense: LayerSpec = { type: 'dense', name, units, activation: 'relu', ...(initialBias === undefined ? {} : { initialBias }) }
    return model.dropout > 0 ? [dense, { type: 'dropout', name: `${name}_dropout`, rate: model.dropout }] : [dense]
  })
  return [first, ...hidden, predictions]
}

/** Dense layers are `fc1`, `fc2` …, dropout layers `dropout1` …, in the order of the list. */
function listedLayers(head: readonly HeadLayer[]): LayerSpec[] {
  const numbers = { fc: 0, dropout: 0 }
  const next = (name: keyof typeof numbers): string => `${name}${String(++numbers[name])}`
  return head.map((layer): LayerSpec => {
    switch (layer.type) {
      case 'flatten':
        return { type: 'flatten', name: 'flatten' }
      case 'globalAveragePooling':
        return { type: 'globalAveragePooling', name: 'global_average_pooling' }
      case 'dropout':
        return { type: 'dropout', name: next('dropout'), rate: layer.rate }
      case 'dense':
        return { type: 'dense', name: next('fc'), units: layer.units, activation: layer.activation }
    }
  })
}

/** What stands before the head of this model's network. */
export function baseLayers<Layer>(model: ModelOptions, classes: number, layers: readonly Layer[]): Layer[] {
  return layers.slice(0, layers.length - headLayers(model, classes).length)
}
