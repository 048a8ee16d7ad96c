import { describe, expect, it } from 'vitest'
import { TrainError } from '../errors/train-error.js'
import { layoutOf } from '../models/layout-of.js'
import { networkOf, type Network } from '../models/network.js'
import { modelSchema, type Recipe } from '../recipe/schema.js'
import { planDepthTransfer, type TransferSource } from './depth-transfer.js'

type Model = Recipe['model']
const SMALL: Model = { name: 'vgg-d', width: 0.25, inputSize: 32, fullyConnected: [64, 64], dropout: 0.5, head: 'flatten' }
const small = (name: Model['name'], changes: Partial<Model> = {}, classes = 10): Network =>
  networkOf({ ...SMALL, name, ...changes }, classes)

function checkpointOf(network: Network, withMetadata = true): TransferSource {
  const tensors = layoutOf(network).entries.flatMap(({ name, shape }) => [
    { name, shape },
    { name: `velocity/${name}`, shape },
  ])
  return withMetadata ? { tensors, model: network.name, classes: network.classes, file: 'a.safetensors' } : { tensors }
}

const keep = { newHead: false }
const SEVEN = ['block1_conv1', 'block2_conv1', 'block3_conv1', 'block3_conv2', 'fc1', 'fc2', 'predictions']
const tensorsOf = (layers: string[]): string[] => layers.flatMap((layer) => [`${layer}/kernel`, `${layer}/bias`])

function messageOf(plan: () => unknown): string {
  try {
    plan()
  } catch (error) {
    expect(error).toBeInstanceOf(TrainError)
    expect((error as TrainError).code).toBe('CHECKPOINT_MISMATCH')
    return (error as TrainError).message
  }
  throw new Error('nothing was thrown')
}

describe('planDepthTransfer', () => {
  it.each([
    ['vgg-a', 'vgg-b'],
    ['vgg-a', 'vgg-c'],
    ['vgg-a', 'vgg-d'],
    ['vgg-a', 'vgg-e'],
    ['vgg-a-lrn', 'vgg-d'],
  ] as const)('copies exactly seven layers from %s to %s', (from, to) => {
    for (const withMetadata of [true, false]) {
      const plan = planDepthTransfer(small(to), checkpointOf(small(from), withMetadata), keep)
      expect(plan.copied).toEqual(tensorsOf(SEVEN))
      expect(plan.rows.filter((row) => row.source === 'checkpoint').map((row) => row.layer)).toEqual(SEVEN)
      expect(plan.rows).toHaveLength(layoutOf(small(to)).entries.length / 2)
    }
  })

  it('tells the layer, its shape and its source, for the table', () => {
    const { rows } = planDepthTransfer(small('vgg-d'), checkpointOf(small('vgg-a')), keep)
    expect(rows.slice(0, 2)).toEqual([
      { layer: 'block1_conv1', shape: [3, 3, 3, 16], source: 'checkpoint' },
      { layer: 'block1_conv2', shape: [3, 3, 16, 16], source: 'random' },
    ])
  })

  it.each(['vgg-a', 'vgg-a-lrn', 'vgg-c', 'vgg-d', 'vgg-e'] as const)(
    'copies everything when %s goes on from its own checkpoint',
    (name) => {
      for (const withMetadata of [true, false]) {
        const { copied } = planDepthTransfer(small(name), checkpointOf(small(name), withMetadata), keep)
        expect(copied).toEqual(layoutOf(small(name)).entries.map((entry) => entry.name))
      }
    },
  )

  it('leaves the last layer random with a new head, when the classes differ', () => {
    const target = small('vgg-d', {}, 5)
    expect(planDepthTransfer(target, checkpointOf(small('vgg-a')), { newHead: true }).copied).toEqual(tensorsOf(SEVEN.slice(0, -1)))
    expect(planDepthTransfer(small('vgg-d'), checkpointOf(small('vgg-a')), { newHead: true }).copied).toEqual(tensorsOf(SEVEN))
  })

  it.each<[string, Network, RegExp]>([
    [
      'another width',
      small('vgg-d', { width: 0.5 }),
      /layer block1_conv1: block1_conv1\/kernel is 3 × 3 × 3 × 16 in a\.safetensors, 3 × 3 × 3 × 32 in the network; use the same width/,
    ],
    [
      'another input size',
      small('vgg-d', { inputSize: 64 }),
      /layer fc1: fc1\/kernel is 128 × 64 in a\.safetensors, 512 × 64 in the network/,
    ],
    [
      'other fully connected layers',
      small('vgg-d', { fullyConnected: [64, 32] }),
      /layer fc2: fc2\/kernel is 64 × 64 in a\.safetensors, 64 × 32 in the network/,
    ],
    [
      'more fully connected layers',
      small('vgg-d', { fullyConnected: [64, 64, 64] }),
      /layer fc3: a\.safetensors has no tensor fc3\/kernel, the network wants 64 × 64/,
    ],
    [
      'other classes',
      small('vgg-d', {}, 5),
      /layer predictions: predictions\/kernel is 64 × 10 in a\.safetensors, 64 × 5 in the network; the checkpoint knows 10 classes, the data has 5; use --new-head/,
    ],
  ])('refuses %s and names layer and shapes in one line', (_, target, expected) => {
    const message = messageOf(() => planDepthTransfer(target, checkpointOf(small('vgg-a')), keep))
    expect(message).toMatch(expected)
    expect(message).not.toContain('\n')
  })

  it('copies batch normalization with its convolution, and no gate that has the shape of a layer', () => {
    const options = { batchNormalization: true, squeezeExcitation: 4 }
    const { copied } = planDepthTransfer(small('vgg-d', options), checkpointOf(small('vgg-a', options)), keep)
    const normalized = SEVEN.slice(0, 4).flatMap((layer) =>
      ['gamma', 'beta', 'moving_mean', 'moving_variance'].map((one) => `${layer}_bn/${one}`),
    )
    expect([...copied].sort()).toEqual([...tensorsOf(SEVEN), ...normalized].sort())
  })

  it.each(['resnet-18', 'resnet-50', 'alexnet', 'small-cnn'] as const)(
    'copies all of a %s into another, with or without metadata',
    (name) => {
      const made = networkOf(modelSchema.parse({ name, width: 0.1 }), 10)
      for (const withMetadata of [true, false]) {
        const { copied } = planDepthTransfer(made, checkpointOf(made, withMetadata), keep)
        expect(copied).toEqual(layoutOf(made).entries.map((entry) => entry.name))
      }
      const other = networkOf(modelSchema.parse({ name, width: 0.1 }), 5)
      expect(planDepthTransfer(other, checkpointOf(made), { newHead: true }).copied).not.toContain('predictions/kernel')
      expect(messageOf(() => planDepthTransfer(made, checkpointOf(small('vgg-a')), keep))).toBe(
        `initialization.from: a.safetensors holds vgg-a; ${name} starts from a checkpoint of ${name}.`,
      )
    },
  )

  it('refuses weights that were trained with batch normalization where there is none, and the other way round', () => {
    const [plain, normalized] = [small('vgg-a'), small('vgg-a', { batchNormalization: true })]
    expect(messageOf(() => planDepthTransfer(plain, checkpointOf(normalized), keep))).toMatch(
      /has batch normalization, .*; set model\.batchN/,
    )
    expect(messageOf(() => planDepthTransfer(normalized, checkpointOf(plain), keep))).toMatch(
      /has no batch normalization, .*; leave out model/,
    )
  })

  it('refuses another configuration and says which it is', () => {
    const message = messageOf(() => planDepthTransfer(small('vgg-e'), checkpointOf(small('vgg-d')), keep))
    expect(message).toBe('initialization.from: a.safetensors holds vgg-d; vgg-e starts from a checkpoint of vgg-a, vgg-a-lrn or vgg-e.')
  })

  it('refuses a file that holds no VGG network', () => {
    const message = messageOf(() => planDepthTransfer(small('vgg-d'), { tensors: [{ name: 'layer/kernel', shape: [1] }] }, keep))
    expect(message).toMatch(/the checkpoint holds no VGG network/)
  })
})
