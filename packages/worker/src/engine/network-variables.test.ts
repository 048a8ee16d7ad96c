import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { describe, expect, it } from 'vitest'
import { gradientOf, withEngine } from './test-engines.js'
import { batchOf, oneThread, smallVgg, weightsOf } from './test-networks.js'

oneThread()

describe('Engine.setWeights', () => {
  it.each([
    ['an ordinary array', (floats: number) => new Float32Array(floats)],
    ['a SharedArrayBuffer', (floats: number) => new Float32Array(new SharedArrayBuffer(floats * 4))],
    ['the middle of a SharedArrayBuffer', (floats: number) => new Float32Array(new SharedArrayBuffer(floats * 4 + 64), 20, floats)],
  ])('copies from %s: writing to it afterwards changes nothing', async (_, make) => {
    const network = smallVgg()
    const batch = batchOf(network, 4)
    await withEngine(network, (engine) => {
      const flat = make(layoutOf(network).size)
      flat.set(weightsOf(network))
      engine.setWeights(flat)
      flat.fill(Number.NaN)
      const { result } = gradientOf(engine, network, batch)
      expect(result.lossSum).toBeGreaterThan(0)
      const again = gradientOf(engine, network, batch)
      flat.set(weightsOf(network))
      engine.setWeights(flat)
      expect(gradientOf(engine, network, batch)).toEqual(again)
      flat.set(weightsOf(network, layoutOf(network), 2))
      engine.setWeights(flat)
      expect(gradientOf(engine, network, batch)).not.toEqual(again)
    })
  })
})

describe('Engine.lendWeights', () => {
  it('computes the same bits from the vector itself, writes nothing to it, and has memory of its own again when weights are set', async () => {
    const network = smallVgg()
    const batch = batchOf(network, 4)
    await withEngine(network, (engine) => {
      const { size } = layoutOf(network)
      // an entry that begins where TensorFlow takes no memory of others is in it too
      for (const shift of [0, 3]) {
        const own = weightsOf(network)
        engine.setWeights(own)
        const expected = gradientOf(engine, network, batch)
        const flat = new Float32Array(new SharedArrayBuffer((size + 16) * 4), shift * 4, size)
        flat.set(own)
        engine.lendWeights(flat)
        expect(gradientOf(engine, network, batch)).toEqual(expected)
        expect(Buffer.from(flat.slice().buffer).equals(Buffer.from(own.buffer))).toBe(true)
        const tensors = engine.tensors()
        engine.lendWeights(flat)
        expect(engine.tensors()).toBe(tensors)
        engine.setWeights(own)
        flat.fill(Number.NaN)
        expect(gradientOf(engine, network, batch)).toEqual(expected)
        expect(engine.tensors()).toBe(tensors)
      }
    })
  })
})
