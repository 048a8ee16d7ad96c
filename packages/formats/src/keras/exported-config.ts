import { isChain, type Network } from '@lockstep/shared/models/network.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { KERAS_INPUT, kerasLayers, type KerasLayer } from './keras-layers.js'

/** A network of ours as a model of Keras, which Keras 2, Keras 3 and tfjs build from: Sequential where it is a chain, else Functional. Pure. */

/**
 * The layers in the order in which Keras has them in a model, which is that of the tensors in its files.
 * @throws TrainError CHECKPOINT_MISMATCH naming a layer that Keras does not have
 */
export function exportedLayers(network: Network): KerasLayer[] {
  const layers = kerasLayers(network)
  return isChain(network) ? layers : byDepth(layers)
}

/** The architecture as Keras 2 writes it, for `.h5` and for tfjs. */
export function modelConfig2(network: Network): Record<string, unknown> {
  const layers = exportedLayers(network).map(({ name, className, config, inputs }) => {
    const shape = className === 'InputLayer' ? { batch_input_shape: [null, ...network.inputShape], sparse: false, ragged: false } : {}
    const layer = { class_name: className, config: { name, dtype: 'float32', ...shape, ...config } }
    if (isChain(network)) return layer
    return { ...layer, name, inbound_nodes: inputs.length === 0 ? [] : [inputs.map((from) => [from, 0, 0, {}])] }
  })
  if (isChain(network)) return { class_name: 'Sequential', config: { name: nameOf(network), layers } }
  const ends = { input_layers: [[KERAS_INPUT, 0, 0]], output_layers: [[endOf(network), 0, 0]] }
  return { class_name: 'Functional', config: { name: nameOf(network), trainable: true, layers, ...ends } }
}

/** The architecture as Keras 3 writes it. */
export function modelConfig3(network: Network): Record<string, unknown> {
  const exported = exportedLayers(network)
  const shapes = new Map(exported.map(({ name, outputShape }) => [name, outputShape]))
  const layers = exported.map(({ name, className, config, inputs }) => {
    const shape = className === 'InputLayer' ? { batch_shape: [null, ...network.inputShape] } : { trainable: true }
    const layer = {
      module: 'keras.layers',
      class_name: className,
      config: { name, dtype: 'float32', ...shape, ...config },
      registered_name: null,
    }
    if (isChain(network)) return layer
    const tensors = inputs.map((from) => kerasTensor(from, shapes.get(from) ?? []))
    return { ...layer, name, inbound_nodes: tensors.length === 0 ? [] : [{ args: tensors.length === 1 ? tensors : [tensors], kwargs: {} }] }
  })
  const model = { module: 'keras', registered_name: null, build_config: { input_shape: [null, ...network.inputShape] } }
  const common = { name: nameOf(network), trainable: true, layers }
  if (isChain(network))
    return { ...model, class_name: 'Sequential', config: { ...common, build_input_shape: model.build_config.input_shape } }
  const ends = { input_layers: [KERAS_INPUT, 0, 0], output_layers: [endOf(network), 0, 0] }
  return {
    ...model,
    module: 'keras.src.models.functional',
    class_name: 'Functional',
    registered_name: 'Functional',
    config: { ...common, ...ends },
  }
}

function kerasTensor(from: string, shape: readonly number[]): Record<string, unknown> {
  return { class_name: '__keras_tensor__', config: { shape: [null, ...shape], dtype: 'float32', keras_history: [from, 0, 0] } }
}

function endOf({ layers }: Network): string {
  const end = layers.at(-1)
  invariant(end !== undefined, 'a network has layers')
  return end.name
}

function nameOf(network: Network): string {
  return network.name.replaceAll('-', '_')
}

/**
 * Keras sorts the layers of a functional model by how far they are from the end, those as far by how early it meets them on its
 * way back from there (`keras.src.ops.function.map_graph`).
 */
function byDepth(layers: readonly KerasLayer[]): KerasLayer[] {
  const byName = new Map(layers.map((layer) => [layer.name, layer]))
  const met = new Map<string, number>()
  const meet = (name: string): void => {
    if (met.has(name)) return
    met.set(name, met.size)
    byName.get(name)?.inputs.forEach(meet)
  }
  meet(layers.at(-1)?.name ?? '')
  // Layers stand behind those they take, so from the end on every layer's own depth is known when its turn comes.
  const depths = new Map<string, number>()
  for (const { name, inputs } of [...layers].reverse()) {
    const depth = depths.get(name) ?? 0
    for (const input of inputs) depths.set(input, Math.max(depths.get(input) ?? 0, depth + 1))
    depths.set(name, depth)
  }
  const of = (numbers: ReadonlyMap<string, number>, { name }: KerasLayer): number => numbers.get(name) ?? 0
  return [...layers].sort((a, b) => of(depths, b) - of(depths, a) || of(met, a) - of(met, b))
}
