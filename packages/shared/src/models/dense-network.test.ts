import { describe, expect, it } from 'vitest'
import { denseNetwork } from './dense-network.js'
import { describeNetwork } from './description.js'
import { layoutOf } from './layout-of.js'
import { networkOf, type LayerSpec, type Network } from './network.js'
import { shapesOf } from './shapes.js'

const VGG_D = networkOf({ name: 'vgg-d', width: 1, inputSize: 224, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten' }, 1000)
const AVERAGED = networkOf({ name: 'vgg-a', width: 0.25, inputSize: 64, fullyConnected: [], dropout: 0, head: 'globalAveragePooling' }, 10)

describe('denseNetwork', () => {
  it('has the same parameters at the same places; only kernels behind the flattening have another shape', () => {
    const [plain, dense] = [layoutOf(VGG_D).entries, layoutOf(denseNetwork(VGG_D)).entries]
    expect(dense.map(({ name, offset, size, kind }) => [name, offset, size, kind])).toEqual(
      plain.map(({ name, offset, size, kind }) => [name, offset, size, kind]),
    )
    const changed = dense.filter(({ shape }, index) => shape.join() !== plain[index]?.shape.join())
    expect(changed.map(({ name, shape }) => [name, shape])).toEqual([
      ['fc1/kernel', [7, 7, 512, 4096]],
      ['fc2/kernel', [1, 1, 4096, 4096]],
      ['predictions/kernel', [1, 1, 4096, 1000]],
    ])
  })

  it('costs the same multiply-accumulates on the network’s own input', () => {
    expect(describeNetwork(denseNetwork(VGG_D)).macs).toBe(describeNetwork(VGG_D).macs)
  })

  it.each([
    [
      [224, 224],
      [1, 1, 1000],
    ],
    [
      [256, 340],
      [2, 4, 1000],
    ],
    [
      [384, 512],
      [6, 10, 1000],
    ],
  ] as const)('of a picture of %j yields class scores at %j', (size, scores) => {
    const shapes = shapesOf(denseNetwork(VGG_D, size))
    expect(shapes.at(-2)?.output).toEqual(scores)
    expect(shapes.at(-1)?.output).toEqual([1000])
  })

  it('leaves a network with global average pooling as it is', () => {
    expect(denseNetwork(AVERAGED, [80, 96])).toEqual({ ...AVERAGED, inputShape: [80, 96, 3] })
  })

  it.each<[string, (layers: readonly LayerSpec[]) => LayerSpec[], RegExp]>([
    ['no head', (layers) => layers.filter(({ type }) => type !== 'dense' && type !== 'dropout'), /it has no head of them/],
    ['neither flattening nor pooling', (layers) => layers.slice(0, 3), /it has no head of them/],
    [
      'something else behind the flattening',
      (layers) => [...layers, { type: 'localResponseNormalization', name: 'late', depthRadius: 2, bias: 1, alpha: 1, beta: 1 }],
      /late is none/,
    ],
  ])('refuses %s', (_, change, message) => {
    const network: Network = { ...VGG_D, layers: change(VGG_D.layers) }
    expect(() => denseNetwork(network)).toThrow(
      expect.objectContaining({ code: 'RECIPE_INVALID', message: expect.stringMatching(message) as string }),
    )
  })

  it('refuses a last feature map that is not square', () => {
    expect(() => denseNetwork({ ...VGG_D, inputShape: [224, 256, 3] })).toThrow(/7 × 8 is not square/)
  })
})
