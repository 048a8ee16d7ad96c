import { invariant, TrainError } from '../errors/train-error.js'
import type { Recipe } from '../recipe/schema.js'
import { alexNetwork, singleTowerNetwork } from './alexnet.js'
import { familyOf, modelProblems } from './families.js'
import { baseLayers } from './head.js'
import type { LayerSpec, Network } from './graph.js'
import { ownNetwork } from './own-network.js'
import { residualNetwork } from './resnet.js'
import { smallNetwork } from './small-cnn.js'
import { vggNetwork } from './vgg.js'

// one door to networks for those that take one
export { INPUT, inputsOf, isChain } from './graph.js'
export type {
  AddSpec,
  BatchNormalizationSpec,
  ConvolutionSpec,
  LayerSpec,
  LocalResponseNormalizationSpec,
  MaxPoolingSpec,
  Network,
  ScaleSpec,
} from './graph.js'

/**
 * The network that a recipe's `model` describes.
 * @param classes number of classes of the data set
 * @throws TrainError RECIPE_INVALID when the input is too small for the network's poolings, or an option does not fit the network
 */
export function networkOf(model: Recipe['model'], classes: number): Network {
  invariant(classes >= 1, 'a network has at least one class')
  const problem = modelProblems(model)[0]
  if (problem !== undefined) throw new TrainError('RECIPE_INVALID', `${problem.message}.`)
  if (model.task === 'binary' && classes !== 2)
    throw new TrainError('RECIPE_INVALID', `model.task: binary tells two classes apart, the data has ${String(classes)}; leave it out.`)
  const built = withEpsilon(familyNetwork(model, classes), model.normalizationEpsilon)
  const { task, targets } = model
  const network: Network =
    task === 'binary' || task === 'regression' ? { ...built, task, ...(targets === undefined ? {} : { targets }) } : built
  if (model.trainable !== false) return network
  const frozen = new Set<LayerSpec>(baseLayers(model, classes, network.layers))
  return { ...network, layers: network.layers.map((layer) => (frozen.has(layer) ? { ...layer, trainable: false } : layer)) }
}

function withEpsilon(network: Network, epsilon: number | undefined): Network {
  if (epsilon === undefined) return network
  return { ...network, layers: network.layers.map((layer) => (layer.type === 'batchNormalization' ? { ...layer, epsilon } : layer)) }
}

function familyNetwork(model: Recipe['model'], classes: number): Network {
  switch (familyOf(model.name)) {
    case 'vgg':
      return vggNetwork(model, classes)
    case 'alexnet':
      return alexNetwork(model, classes)
    case 'alexnet-2014':
      return singleTowerNetwork(model, classes)
    case 'resnet':
      return residualNetwork(model, classes)
    case 'small-cnn':
      return smallNetwork(model, classes)
    case 'own':
      return ownNetwork(model, classes)
  }
}
