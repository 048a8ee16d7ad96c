import { describe, expect, it } from 'vitest'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { TENSOR_ROLES, type ForeignLayer, type ForeignModel, type ForeignTensor } from './foreign-model.js'
import { findModel } from './model-search.js'
import { assignTensors } from './tensor-assignment.js'

const CLASSES = 7

/** The tensors of a network of ours, under other names. */
function tensorsOf(model: Parameters<typeof modelSchema.parse>[0], rename = (name: string): string => name): ForeignTensor[] {
  return layoutOf(networkOf(modelSchema.parse(model), CLASSES)).entries.map(({ name, shape }) => {
    const [layer = '', role = ''] = name.split('/')
    const known = TENSOR_ROLES.find((one) => one === role) ?? 'kernel'
    return { name, layer: rename(layer), role: known, shape, read: async () => new Float32Array() }
  })
}

function foreign(tensors: readonly ForeignTensor[], layers?: ForeignLayer[]): ForeignModel {
  return { format: 'safetensors', tensors, layers, close: async () => undefined }
}

describe('findModel', () => {
  it.each([
    { name: 'vgg-a', width: 1, inputSize: 224, fullyConnected: [4096, 4096] },
    { name: 'vgg-b', width: 0.25, inputSize: 64, fullyConnected: [16] },
    { name: 'vgg-c', width: 0.25, inputSize: 64, fullyConnected: [16, 8] },
    { name: 'vgg-d', width: 0.125, inputSize: 96, fullyConnected: [] },
    { name: 'vgg-e', width: 2, inputSize: 32, fullyConnected: [8] },
  ])('tells $name at width $width, $inputSize pixels and dense $fullyConnected from shapes alone', (model) => {
    const found = findModel(foreign(tensorsOf(model)), 'x.h5', {})
    expect(found.model).toMatchObject({ ...model, head: 'flatten' })
    expect(found.network.classes).toBe(CLASSES)
  })

  it('takes what is said: the width of odd channels, an input between two poolings, an average', () => {
    const odd = { name: 'vgg-a', width: 0.3, inputSize: 70, fullyConnected: [8], head: 'globalAveragePooling' } as const
    const found = findModel(foreign(tensorsOf(odd)), 'x.h5', { width: 0.3, inputSize: 70, head: 'globalAveragePooling' })
    expect(found.model).toMatchObject(odd)
  })

  it('takes input and average from an architecture', () => {
    const model = { name: 'vgg-a', width: 0.25, inputSize: 100, fullyConnected: [8], head: 'globalAveragePooling' } as const
    const layers = [
      { className: 'InputLayer', name: 'in', config: { batch_shape: [null, 100, 100, 3] } },
      { className: 'GlobalAveragePooling2D', name: 'pool', config: {} },
      { className: 'Dropout', name: 'drop', config: { rate: 0.2 } },
    ]
    expect(findModel(foreign(tensorsOf(model), layers), 'x.keras', {}).model).toMatchObject({ ...model, dropout: 0.2 })
  })

  it.each<[string, ForeignTensor[], RegExp]>([
    [
      'no top',
      tensorsOf({ name: 'vgg-a', fullyConnected: [8] }).filter(({ shape, role }) => role === 'kernel' && shape.length === 4),
      /^x\.h5 has no dense layer/,
    ],
    ['no convolutions', tensorsOf({ name: 'vgg-a' }).slice(-2), /^x\.h5 has no convolution;/],
    ['another number of them', tensorsOf({ name: 'vgg-a' }).slice(2), /^x\.h5 has 7 convolutions; .* --model$/],
  ])('refuses a file with %s', (_, tensors, message) => {
    expect(() => findModel(foreign(tensors), 'x.h5', {})).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_MISMATCH', message: expect.stringMatching(message) as string }),
    )
  })
})

describe('assignTensors', () => {
  const model = { name: 'vgg-a', width: 0.25, inputSize: 32, fullyConnected: [8] } as const
  const layout = layoutOf(networkOf(modelSchema.parse(model), CLASSES))
  const names = { file: 'x.h5', network: 'vgg-a', chain: true }

  it('goes by names, whatever the order', () => {
    const assigned = assignTensors(tensorsOf(model).reverse(), layout, names)
    expect(assigned.map(({ entry, tensor }) => [entry.name, tensor.name])).toEqual(layout.entries.map(({ name }) => [name, name]))
  })

  it('goes by the order of layers of a kind where names are others', () => {
    const renamed = tensorsOf(model, (layer) => `theirs_${layer}`)
    const dense = renamed.filter(({ layer }) => /fc|predictions/.test(layer))
    const shuffled = [...dense, ...renamed.filter((tensor) => !dense.includes(tensor))]
    const assigned = assignTensors(shuffled, layout, names)
    expect(assigned.map(({ tensor }) => tensor.name)).toEqual(layout.entries.map(({ name }) => name))
  })

  it.each<[string, (tensors: ForeignTensor[]) => ForeignTensor[], RegExp]>([
    [
      'another shape',
      (tensors) => tensors.map((one) => (one.name === 'fc1/kernel' ? { ...one, shape: [256, 8] } : one)),
      /^x\.h5: tensor fc1\/kernel is 256 × 8, vgg-a wants 128 × 8 for fc1\/kernel; say --model/,
    ],
    [
      'a missing bias',
      (tensors) => tensors.filter(({ name }) => name !== 'fc1/bias'),
      /^x\.h5 has no bias of layer fc1, vgg-a wants 8 for fc1\/bias; /,
    ],
    [
      'a layer too many',
      (tensors) => [...tensors, ...tensors.slice(0, 1).map((one) => ({ ...one, name: 'extra/kernel', layer: 'extra' }))],
      /^x\.h5: tensor extra\/kernel of 3 × 3 × 3 × 16 has no place in vgg-a; /,
    ],
    [
      'other names and a layer too few',
      (tensors) => tensors.filter(({ layer }) => layer !== 'block5_conv2').map((one) => ({ ...one, layer: `their_${one.layer}` })),
      /^x\.h5 has 7 convolutions, vgg-a has 8; /,
    ],
  ])('refuses %s, naming tensor and shapes in one line', (_, change, message) => {
    expect(() => assignTensors(change(tensorsOf(model)), layout, names)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_MISMATCH', message: expect.stringMatching(message) as string }),
    )
  })
})
