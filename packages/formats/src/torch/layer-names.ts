import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { NORMALIZATION_EPSILON } from '@lockstep/shared/models/families.js'
import { isChain, type LayerSpec, type Network } from '@lockstep/shared/models/network.js'
import { torchResidualName } from './residual-names.js'

/** What torchvision calls the layers of a network of ours. Pure. */

/** The layers that torchvision's VGG networks and AlexNet are made of: any other, and a network has no names there. */
const CHAIN: ReadonlySet<LayerSpec['type']> = new Set([
  ...(['convolution', 'batchNormalization', 'maxPooling', 'flatten', 'globalAveragePooling', 'dense', 'dropout'] as const),
])
/** Those of its residual networks. */
const RESIDUAL: ReadonlySet<LayerSpec['type']> = new Set([
  ...(['convolution', 'batchNormalization', 'maxPooling', 'add', 'globalAveragePooling', 'dense', 'dropout'] as const),
])

/** Between two dense layers of a classifier stand a ReLU and a dropout. */
const CLASSIFIER_STEP = 3

/**
 * `features.0` or `layer1.0.conv1` for each of our layers with tensors.
 * @throws TrainError CHECKPOINT_MISMATCH for a network that torchvision does not have
 */
export function torchLayerNames(network: Network): Map<string, string> {
  const strange = network.layers.find((layer) => layer.type === 'batchNormalization' && layer.epsilon !== NORMALIZATION_EPSILON)
  if (strange?.type === 'batchNormalization')
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${network.name}: ${strange.name} adds ${String(strange.epsilon)} to a variance, torchvision's networks add ${String(NORMALIZATION_EPSILON)}; use --format safetensors`,
    )
  const names = isChain(network) ? chainNames(network) : residualNames(network)
  const nameless = network.layers.find(({ type, name }) => TENSORED.has(type) && !names.has(name))
  if (nameless === undefined) return names
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `${network.name}: layer ${nameless.name} has no name in torchvision's networks (VGG, AlexNet of 2014, ResNet); use --format safetensors`,
  )
}

const TENSORED: ReadonlySet<LayerSpec['type']> = new Set(['convolution', 'batchNormalization', 'dense'])

function residualNames({ layers }: Network): Map<string, string> {
  const names = new Map<string, string>()
  if (!layers.every(({ type }) => RESIDUAL.has(type))) return names
  for (const { name, type } of layers) {
    const theirs = TENSORED.has(type) ? torchResidualName(name) : undefined
    if (theirs !== undefined) names.set(name, theirs)
  }
  return names
}

/** Every convolution has a ReLU behind it that counts, and a dense layer of AlexNet a dropout before it. */
function chainNames(network: Network): Map<string, string> {
  const names = new Map<string, string>()
  if (!network.layers.every(({ type }) => CHAIN.has(type))) return names
  let feature = 0
  let dense = 0
  let activation = 0
  const hidden = network.layers.filter(({ type }) => type === 'dense').length - 1
  const dropoutFirst = network.name === 'alexnet-2014' ? 1 : 0
  for (const layer of network.layers) {
    const type: string = layer.type
    if (type === 'dense') {
      const index = CLASSIFIER_STEP * dense + (dense < hidden ? dropoutFirst : 0)
      names.set(layer.name, `classifier.${String(index)}`)
      dense++
    }
    if (dense > 0 || type === 'flatten' || type === 'globalAveragePooling') continue
    // A normalization stands between a convolution and its ReLU.
    if (type !== 'batchNormalization') {
      feature += activation
      activation = 0
    }
    names.set(layer.name, `features.${String(feature++)}`)
    if (type === 'convolution') activation = 1
  }
  return names
}
