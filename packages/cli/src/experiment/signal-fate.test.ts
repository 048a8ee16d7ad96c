import { describe, expect, it } from 'vitest'
import { signalFate } from './signal-fate.js'

type Layers = Parameters<typeof signalFate>[0]['layers']

/** Layers 1, 2, … with these activations. */
function layers(...activations: (number | null)[]): Layers {
  return activations.map((activation, index) => ({ layer: `layer${String(index + 1)}`, activation, gradient: 0.1, kernel: 0.01 }))
}

describe('the fate of a signal', () => {
  it.each([
    ['lives', layers(2, 1.5, 0.5), null, null],
    ['dies at the first layer below a thousandth', layers(0.1, 0.0019, 0.000001), 'layer2', null],
    ['explodes at the first layer above a thousand', layers(100, 1999, 2001), null, 'layer3'],
    ['explodes where it is not finite', layers(1, null, null), null, 'layer2'],
    ['is dead at 0', layers(1, 0, 0), 'layer2', null],
  ])('%s', (_, measured, dies, explodes) => {
    expect(signalFate({ input: 2, layers: measured, learningRate: 0.02 })).toMatchObject({ dies, explodes })
  })

  it('says how much a step changes of a kernel', () => {
    const measured: Layers = [
      { layer: 'a', activation: 1, gradient: 0.5, kernel: 0.1 },
      { layer: 'b', activation: 4, gradient: 3, kernel: 0.1 },
      { layer: 'c', activation: 1, gradient: null, kernel: 0.1 },
    ]
    const { largestChange, firstChange, logits } = signalFate({ input: 2, layers: measured, learningRate: 0.01 })
    expect(firstChange).toBeCloseTo(0.05, 12)
    expect(largestChange).toBeCloseTo(0.3, 12)
    expect(logits).toBe(0.5)
  })
})
