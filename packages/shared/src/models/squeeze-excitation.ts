import type { LayerSpec } from './network.js'

/**
 * A squeeze-and-excitation block (Hu et al. 2017, section 3): the mean of every map, two fully connected layers with a bottleneck
 * of channels / ratio between them, and a gate in (0, 1) that each map is multiplied with.
 * @param maps the layer whose maps are weighed; @param channels how many there are
 * @returns its layers, the last one `NAME_se_scale`
 */
export function squeezeExcitation(maps: string, channels: number, ratio: number): LayerSpec[] {
  const name = `${maps}_se`
  return [
    { type: 'globalAveragePooling', name: `${name}_pool`, inputs: [maps] },
    { type: 'dense', name: `${name}_fc1`, units: Math.max(1, Math.round(channels / ratio)), activation: 'relu' },
    { type: 'dense', name: `${name}_fc2`, units: channels, activation: 'sigmoid' },
    { type: 'scale', name: `${name}_scale`, inputs: [maps, `${name}_fc2`] },
  ]
}
