import type { Network } from '@lockstep/shared/models/network.js'

/**
 * Where it began that a step is not finite, in words; null when everything is.
 * @param layer 1 + index of the first layer whose output is not finite, in the first leaf with such a loss; 0: the loss is finite
 * @param parameter the last one in layout order with a weight that is not finite: backwards, the first
 */
export function nonFiniteOrigin(network: Network, layer: number, parameter: string | null): string | null {
  const name = network.layers[layer - 1]?.name
  if (name !== undefined) return `layer ${name}, the first whose output is not finite`
  if (layer > 0) return 'the loss itself: every layer’s output is finite'
  return parameter === null ? null : `the update of ${parameter}, the first that the backward pass meets`
}
