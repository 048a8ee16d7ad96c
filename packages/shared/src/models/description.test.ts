import { describe, expect, it } from 'vitest'
import { describeNetwork } from './description.js'
import { networkOf } from './network.js'

describe('describeNetwork', () => {
  const network = networkOf({ name: 'vgg-d', width: 1, inputSize: 224, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten' }, 1000)
  const description = describeNetwork(network)

  it('gives the parameters of D by layer, as the Keras summary has them', () => {
    const parameters = description.rows.map((row) => row.parameters).filter((count) => count > 0)
    expect(parameters).toEqual([
      ...[1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080],
      ...[1_180_160, 2_359_808, 2_359_808, 2_359_808, 2_359_808, 2_359_808],
      ...[102_764_544, 16_781_312, 4_097_000],
    ])
  })

  it('counts 15,237,608 activations of D an image forward, 61 MB, and twice that in training', () => {
    expect(description.activationBytes / 4).toBe(15_237_608)
    expect(Math.round(description.activationBytes / 1e6)).toBe(61)
    expect(description.trainingBytes).toBe(2 * description.activationBytes)
  })

  it('starts with the input and gives every layer its type and shape', () => {
    expect(description.rows).toHaveLength(network.layers.length + 1)
    expect(description.rows[0]).toMatchObject({ name: 'input', type: 'InputLayer', outputShape: [224, 224, 3], parameters: 0 })
    expect(description.rows[1]).toMatchObject({ name: 'block1_conv1', type: 'Conv2D', outputShape: [224, 224, 64], macs: 86_704_128 })
    expect(description.rows.find((row) => row.name === 'flatten')).toMatchObject({
      type: 'Flatten',
      outputShape: [25_088],
      activationBytes: 0,
    })
    expect(description.rows.find((row) => row.name === 'fc1_dropout')).toMatchObject({
      type: 'Dropout',
      outputShape: [4096],
      activationBytes: 0,
    })
    expect(description.rows.find((row) => row.name === 'fc2')).toMatchObject({ type: 'Dense', macs: 4096 * 4096 })
  })
})
