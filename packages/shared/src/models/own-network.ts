import { TrainError } from '../errors/train-error.js'
import { channelsOf, outputUnits, type ModelOptions } from './families.js'
import { INPUT, inputsOf, type LayerSpec, type Network } from './graph.js'
import { layerShapes } from './shapes.js'

/** A network of the user's own: its layers stand in the recipe, found in a module or written there. */

/**
 * The network that a recipe's `model.layers` describe.
 * @throws TrainError RECIPE_INVALID naming the first layer that does not fit, or when the layers are not known yet
 */
export function ownNetwork(model: ModelOptions, classes: number): Network {
  const { layers, inputSize } = model
  if (layers === undefined)
    throw new TrainError('RECIPE_INVALID', 'model.layers: they are not known before a training has read model.from; train, or inspect it.')
  const network: Network = { name: 'own', inputShape: [inputSize, inputSize, channelsOf(model)], classes, layers }
  const problem = graphProblem(network, outputUnits(model, classes))
  if (problem !== undefined) throw new TrainError('RECIPE_INVALID', `model.layers: ${problem}.`)
  return network
}

/** The first thing that is wrong with a graph, in words; undefined where it can be computed and trained. @param units of its output */
function graphProblem(network: Network, units: number): string | undefined {
  const { layers } = network
  const known = new Map<string, readonly number[]>([[INPUT, network.inputShape]])
  const unread = new Set<string>()
  for (const [index, layer] of layers.entries()) {
    const inputs: (readonly number[])[] = []
    if (known.has(layer.name)) return `two layers are called ${layer.name}; give each a name of its own`
    for (const name of inputsOf(network, index)) {
      const shape = known.get(name)
      if (shape === undefined) return `layer ${layer.name} takes ${name}, which no layer before it is called`
      inputs.push(shape)
      unread.delete(name)
    }
    const problem = layerProblem(layer, inputs)
    if (problem !== undefined) return `layer ${layer.name} ${problem}`
    known.set(layer.name, layerShapes(layer, inputs).output)
    unread.add(layer.name)
  }
  const last = layers.at(-1)
  if (last === undefined) return 'there are none'
  const idle = [...unread].find((name) => name !== last.name)
  if (idle !== undefined) return `nothing takes the output of layer ${idle}; leave it out`
  const output = known.get(last.name) ?? []
  if (output.join() !== String(units))
    return `the last layer, ${last.name}, yields ${output.join(' × ')} values a picture, not ${String(units)}`
  if ('activation' in last && last.activation !== 'linear') return `the last layer, ${last.name}, has to be linear`
  return undefined
}

function layerProblem(layer: LayerSpec, inputs: readonly (readonly number[])[]): string | undefined {
  const [first = [], second = []] = inputs
  const wanted = layer.type === 'add' || layer.type === 'scale' ? 2 : 1
  if (layer.type === 'concatenate' ? inputs.length < 2 : inputs.length !== wanted)
    return `(${layer.type}) takes ${layer.type === 'concatenate' ? 'two inputs or more' : wanted === 1 ? 'one input' : 'two inputs'}, not ${String(inputs.length)}`
  const shapes = inputs.map((shape) => shape.join(' × ')).join(' and ')
  switch (layer.type) {
    case 'convolution': {
      if (first.length !== 3) return `(convolution) takes maps, not ${shapes} values`
      const groups = layer.groups ?? 1
      return (first[2] ?? 0) % groups === 0 && layer.filters % groups === 0
        ? undefined
        : `has ${String(groups)} groups, which divide ${String(first[2])} channels and ${String(layer.filters)} filters unevenly`
    }
    case 'maxPooling':
    case 'averagePooling':
    case 'localResponseNormalization':
    case 'globalAveragePooling':
      return first.length === 3 ? undefined : `(${layer.type}) takes maps, not ${shapes} values`
    case 'dense':
      return first.length === 1 ? undefined : `(dense) takes a row of values, not ${shapes}; put flatten or globalAveragePooling before it`
    case 'add':
      return first.join() === second.join() ? undefined : `adds ${shapes}, which differ`
    case 'scale':
      return first.length === 3 && second.join() === String(first[2]) ? undefined : `cannot multiply maps by a gate: ${shapes}`
    case 'concatenate': {
      const places = new Set(inputs.map((shape) => shape.slice(0, -1).join()))
      return places.size === 1 ? undefined : `joins ${shapes}, which differ in more than their channels`
    }
    default:
      return undefined
  }
}
