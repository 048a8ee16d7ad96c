import { describe, expect, it } from 'vitest'
import { networkOf } from '@lockstep/shared/models/network.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { torchLayerNames } from './layer-names.js'
import { ourResidualName, torchResidualName } from './residual-names.js'

const names = (model: Record<string, unknown>): Map<string, string> => torchLayerNames(networkOf(modelSchema.parse(model), 10))

describe('names of torchvision', () => {
  it.each([18, 34, 50, 101, 152])('of ResNet-%i: each of our layers has one of its own, and the way back', (depth) => {
    const all = names({ name: `resnet-${String(depth)}` })
    expect(new Set(all.values()).size).toBe(all.size)
    for (const [ours, theirs] of all) expect(ourResidualName(theirs)).toBe(ours)
  })

  it.each([
    ['conv1_conv', 'conv1'],
    ['conv1_bn', 'bn1'],
    ['conv2_block1_1_conv', 'layer1.0.conv1'],
    ['conv3_block1_0_conv', 'layer2.0.downsample.0'],
    ['conv3_block1_0_bn', 'layer2.0.downsample.1'],
    ['conv4_block23_3_bn', 'layer3.22.bn3'],
    ['predictions', 'fc'],
  ])('%s is %s', (ours, theirs) => {
    expect(torchResidualName(ours)).toBe(theirs)
    expect(ourResidualName(theirs)).toBe(ours)
  })

  it.each(['layer5.0.conv1', 'layer1.0.conv4', 'layer1.0.downsample.2', 'layer1.conv1', 'fc1'])('%s is none of theirs', (name) => {
    expect(ourResidualName(name)).toBeUndefined()
  })

  it('of AlexNet count ReLUs, poolings and the dropout before a dense layer', () => {
    expect(
      [...names({ name: 'alexnet-2014' }).entries()].filter(([ours]) => !ours.startsWith('pool') && !ours.endsWith('dropout')),
    ).toEqual([
      ['conv1', 'features.0'],
      ['conv2', 'features.3'],
      ['conv3', 'features.6'],
      ['conv4', 'features.8'],
      ['conv5', 'features.10'],
      ['fc1', 'classifier.1'],
      ['fc2', 'classifier.4'],
      ['predictions', 'classifier.6'],
    ])
  })

  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      'local response normalization',
      { name: 'alexnet' },
      /^alexnet: layer conv1 has no name in torchvision's networks .*--format safetensors$/,
    ],
    ['gates', { name: 'resnet-18', squeezeExcitation: 16 }, /^resnet-18: layer conv1_conv has no name/],
    [
      'a flattened map behind residual blocks',
      { name: 'resnet-18', head: [{ type: 'flatten' }] },
      /^resnet-18: layer conv1_conv has no name/,
    ],
    ['another epsilon', { name: 'resnet-18', normalizationEpsilon: 0.001 }, /^resnet-18: conv1_bn adds 0\.001 .* add 0\.00001; /],
  ])('are refused to %s, in one line', (_, model, message) => {
    expect(() => names(model)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_MISMATCH', message: expect.stringMatching(message) as string }),
    )
  })
})
