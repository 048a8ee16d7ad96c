import { describe, expect, it } from 'vitest'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { Engine } from './engine.js'
import { AVERAGED, batchOf, FLATTENED, oneThread, smallVgg, weightsOf } from './test-networks.js'

oneThread()

async function withEngine(network: Network, work: (engine: Engine) => void): Promise<void> {
  const engine = await Engine.create({ network, layout: layoutOf(network), seed: 1, globalBatch: 4 })
  try {
    engine.setWeights(weightsOf(network))
    work(engine)
  } finally {
    engine.dispose()
  }
}

/** A picture that is larger than the network's input. */
function pictureOf(network: Network, height: number, width: number) {
  const { images } = batchOf({ ...network, inputShape: [height, width, 3] }, 1)
  return { images, shape: [1, height, width, 3] }
}

function relativeError(found: Float32Array, expected: Float32Array): number {
  const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
  return norm(expected.map((value, at) => value - (found[at] ?? Number.NaN))) / norm(expected)
}

/** A last map of 7 × 7, as the paper's: where the others are bit for bit the same on our engine, this one is to rounding. */
const LARGE = networkOf({ name: 'vgg-a', width: 0.05, inputSize: 224, fullyConnected: [16, 16], dropout: 0.5, head: 'flatten' }, 10)

describe('a network laid over a whole picture', () => {
  it.each([
    ['fully connected', smallVgg()],
    ['a large map', LARGE],
    ['every layer', FLATTENED],
    ['global average pooling', AVERAGED],
  ])('gives on a picture of its input’s size what the plain one gives, to rounding: %s', async (_, network) => {
    await withEngine(network, (engine) => {
      const { images } = batchOf(network, 3)
      const shape = [3, ...network.inputShape]
      const [plain, dense] = [engine.logSoftmax({ kind: 'crop', images, shape }), engine.logSoftmax({ kind: 'dense', images, shape })]
      expect(dense).toHaveLength(3 * network.classes)
      expect(relativeError(dense, plain)).toBeLessThan(2e-6)
    })
  })

  it('averages the class scores of every place where the plain one would fit', async () => {
    // No padding before the flattening, so that a place of the map is a crop and nothing else.
    const network: Network = {
      ...{ name: 'unpadded', inputShape: [8, 8, 3], classes: 5 },
      layers: [
        { type: 'convolution', name: 'conv1', filters: 6, kernel: 3, stride: 1, padding: 'valid', activation: 'relu' },
        { type: 'maxPooling', name: 'pool1', size: 2, stride: 2 },
        { type: 'flatten', name: 'flatten' },
        { type: 'dense', name: 'fc1', units: 7, activation: 'relu' },
        { type: 'dropout', name: 'fc1_dropout', rate: 0.5 },
        { type: 'dense', name: 'predictions', units: 5, activation: 'linear' },
      ],
    }
    await withEngine(network, (engine) => {
      const [height, width] = [10, 14]
      const { images, shape } = pictureOf(network, height, width)
      const crops: number[] = []
      let count = 0
      for (let top = 0; top + 8 <= height; top += 2) {
        for (let left = 0; left + 8 <= width; left += 2) {
          for (let row = 0; row < 8; row++) {
            const from = ((top + row) * width + left) * 3
            crops.push(...images.subarray(from, from + 8 * 3))
          }
          count++
        }
      }
      expect(count).toBe(2 * 4)
      // log-soft-max is logits less a constant: the constant of the mean drops out in the difference to the first class.
      const ofCrops = engine.logSoftmax({ kind: 'crop', images: Float32Array.from(crops), shape: [count, 8, 8, 3] })
      const scores = Array.from({ length: 5 }, (_, index) => {
        let sum = 0
        for (let crop = 0; crop < count; crop++) sum += (ofCrops[crop * 5 + index] ?? 0) - (ofCrops[crop * 5] ?? 0)
        return sum / count
      })
      const dense = engine.logSoftmax({ kind: 'dense', images, shape })
      for (const [index, score] of scores.entries()) expect((dense[index] ?? 0) - (dense[0] ?? 0)).toBeCloseTo(score, 5)
      expect(dense.reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 5)
    })
  })

  it('uses the weights that are set, in pictures of any size, and holds no tensor', async () => {
    const network = smallVgg()
    await withEngine(network, (engine) => {
      const [wide, high] = [pictureOf(network, 40, 64), pictureOf(network, 96, 33)]
      const first = engine.logSoftmax({ kind: 'dense', ...wide })
      const tensors = engine.tensors()
      engine.setWeights(weightsOf(network, layoutOf(network), 2))
      const second = engine.logSoftmax({ kind: 'dense', ...wide })
      expect(second).not.toEqual(first)
      engine.logSoftmax({ kind: 'dense', ...high })
      engine.setWeights(weightsOf(network))
      expect(engine.logSoftmax({ kind: 'dense', ...wide })).toEqual(first)
      expect(engine.tensors()).toBe(tensors)
    })
  })
})
