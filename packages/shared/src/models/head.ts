import type { ModelOptions } from './families.js'
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
  const first: LayerSpec =
    model.head === 'flatten' ? { type: 'flatten', name: 'flatten' } : { type: 'globalAveragePooling', name: 'global_average_pooling' }
  const hidden = model.fullyConnected.flatMap((units, index): LayerSpec[] => {
    const name = `fc${String(index + 1)}`
    const dense: LayerSpec = { type: 'dense', name, units, activation: 'relu', ...(initialBias === undefined ? {} : { initialBias }) }
    return model.dropout > 0 ? [dense, { type: 'dropout', name: `${name}_dropout`, rate: model.dropout }] : [dense]
  })
  return [first, ...hidden, { type: 'dense', name: 'predictions', units: classes, activation: 'linear' }]
}
