import { describe, expect, it } from 'vitest'
import { trainedPart, frozenPart, parameterFloats } from '../parameters/layout.js'
import { modelSchema } from '../recipe/schema.js'
import { describeNetwork } from './description.js'
import { modelProblems } from './families.js'
import { layoutOf } from './layout-of.js'
import { networkOf } from './network.js'

const HEAD = [{ type: 'flatten' }, { type: 'dropout', rate: 0.5 }, { type: 'dense', units: 512 }, { type: 'dense', units: 128 }] as const
const TRANSFER = { base: 'vgg-d', weights: 'd.safetensors', includeTop: false, trainable: false, head: HEAD } as const

describe('a head of one’s own on a frozen base', () => {
  const model = modelSchema.parse(TRANSFER)
  const network = networkOf(model, 2)

  it('has the parameters of the Keras example: 12,911,490 that are trained, 14,714,688 of VGG16 without top', () => {
    const whole = layoutOf(network)
    expect(parameterFloats(trainedPart(whole))).toBe(12_911_490)
    expect(parameterFloats(frozenPart(whole))).toBe(14_714_688)
    expect(describeNetwork(network)).toMatchObject({ parameters: 27_626_178, frozen: 14_714_688 })
    expect(network.layers.slice(-5).map(({ name, trainable }) => [name, trainable])).toEqual(
      ['flatten', 'dropout1', 'fc1', 'fc2', 'predictions'].map((name) => [name, undefined]),
    )
    expect(network.layers.at(-6)).toMatchObject({ name: 'block5_pool', trainable: false })
  })

  it('is one model however it is written, and stays itself when it is read again', () => {
    expect(model).toMatchObject({ name: 'vgg-d', trainable: false, fullyConnected: [], dropout: 0 })
    expect(model).not.toHaveProperty('base')
    expect(modelSchema.parse(model)).toEqual(model)
    const { base: name, includeTop: _, ...rest } = TRANSFER
    expect(modelSchema.parse({ name, ...rest })).toEqual(model)
  })

  it('can be trained from end to end', () => {
    const made = networkOf(modelSchema.parse({ ...TRANSFER, trainable: true }), 2)
    expect(frozenPart(layoutOf(made)).size).toBe(0)
    expect(made.layers.some(({ trainable }) => trainable === false)).toBe(false)
  })

  it.each([
    [{ ...TRANSFER, weights: undefined }, /^model.trainable: random weights that are never trained/],
    [{ ...TRANSFER, head: HEAD.slice(1) }, /^model.head: it starts with \{type: flatten\}/],
    [{ ...TRANSFER, head: [...HEAD, { type: 'flatten' }] }, /^model.head: it starts with/],
    [{ ...TRANSFER, fullyConnected: [10] }, /^model.fullyConnected: model.head lists its layers; leave it out/],
    [{ ...TRANSFER, dropout: 0.5 }, /^model.dropout: model.head lists its layers/],
    [{ ...TRANSFER, trainable: true, cacheFeatures: true }, /^model.cacheFeatures: a base that is trained .* set model.trainable: false/],
  ])('refuses %j', (wrong, message) => {
    expect(modelProblems(modelSchema.parse(wrong))[0]?.message).toMatch(message)
  })

  it('refuses name and base at once', () => {
    expect(() => modelSchema.parse({ ...TRANSFER, name: 'vgg-d' })).toThrow(/name and base mean the same/)
  })
})

describe('a binary network', () => {
  it('has one unit for two classes, and refuses three', () => {
    const model = modelSchema.parse({ name: 'small-cnn', task: 'binary' })
    expect(networkOf(model, 2)).toMatchObject({ classes: 2, task: 'binary' })
    expect(networkOf(model, 2).layers.at(-1)).toMatchObject({ name: 'predictions', units: 1 })
    expect(() => networkOf(model, 3)).toThrow(/model.task: binary tells two classes apart, the data has 3/)
    expect(modelSchema.parse({ name: 'small-cnn', task: 'classes' })).toEqual(modelSchema.parse({ name: 'small-cnn' }))
  })
})
