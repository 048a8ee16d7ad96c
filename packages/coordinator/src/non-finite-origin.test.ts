import { networkOf } from '@lockstep/shared/models/network.js'
import { describe, expect, it } from 'vitest'
import { nonFiniteOrigin } from './non-finite-origin.js'

const network = networkOf({ name: 'vgg-a', width: 0.125, inputSize: 32, fullyConnected: [16], dropout: 0.5, head: 'flatten' }, 3)

describe('nonFiniteOrigin', () => {
  it('names the layer, the loss or the parameter', () => {
    expect(nonFiniteOrigin(network, 0, null)).toBeNull()
    expect(nonFiniteOrigin(network, 1, null)).toMatch(/^layer block1_conv1,/)
    expect(nonFiniteOrigin(network, network.layers.length, 'x')).toMatch(/^layer predictions,/)
    expect(nonFiniteOrigin(network, network.layers.length + 1, null)).toMatch(/^the loss itself/)
    expect(nonFiniteOrigin(network, 0, 'fc1/kernel')).toMatch(/update of fc1\/kernel/)
  })
})
