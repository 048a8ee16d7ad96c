import { describe, expect, it } from 'vitest'
import { layoutOf } from './layout-of.js'
import { coordinatorBytes, engineBytes, exchangedBytes, workerBytes } from './memory.js'
import { networkOf } from './network.js'

const network = networkOf({ name: 'vgg-d', width: 1, inputSize: 224, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten' }, 1000)
const layout = layoutOf(network)
const vector = 138_357_544 * 4
const options = { network, layout, microBatch: 4, leaves: 8 }

describe('memory estimates', () => {
  it('of the engine grow by the activations of training with every picture', () => {
    const bytes = (microBatch: number): number => engineBytes({ network, layout, microBatch })
    expect(bytes(5) - bytes(4)).toBe(2 * 4 * 15_237_608)
    expect(Math.round(bytes(4) / 1e6)).toBe(2776)
  })

  it.each([
    [1, 4],
    [2, 3],
    [3, 3],
    [4, 2],
    [8, 1],
    [20, 1],
  ])('of a worker among %i hold %i accumulators for 8 leaves', (workers, accumulators) => {
    const pictures = 3 * 4 * 224 * 224 * 3 * 4
    expect(workerBytes({ ...options, workers }) - engineBytes(options) - pictures).toBe((2 + accumulators) * vector)
  })

  it('keep VGG-16 with two workers under 6 GB a worker and 4.5 GB for the coordinator', () => {
    expect(workerBytes({ ...options, workers: 2 })).toBeLessThan(6e9)
    expect(coordinatorBytes({ network, layout, leaves: 8, workers: 2 })).toBeLessThan(4.5e9)
  })

  it.each([
    [8, 1, 1],
    [8, 2, 2],
    [8, 4, 4],
    // Leaves 0–1, 2–4, 5–7: nodes [0, 1], [2, 3] [4], [5] [6, 7].
    [8, 3, 5],
    [5, 2, 3],
    [2, 4, 2],
  ])('of %i leaves on %i workers, %i nodes travel up and the weights to every worker down', (leaves, workers, nodes) => {
    expect(exchangedBytes({ layout, leaves, workers })).toEqual({ gradients: nodes * vector, weights: workers * vector })
  })
})
