import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Network } from '@lockstep/shared/models/network.js'
import type { ForeignLayer } from '../foreign-model.js'
import { activationLayer, describeOurs, describeTheirs, inWords, PASSING } from './layer-descriptions.js'

/** Whether the architecture that a Keras file states is that of a network of ours that is a chain. Pure. */

interface Described {
  readonly name: string
  readonly what: string
}

/**
 * Compares layer by layer what changes the result: class, sizes, strides, padding, activations.
 * @returns false when the network has layers that cannot be compared this way
 * @throws TrainError CHECKPOINT_MISMATCH naming the layer and both descriptions
 */
export function checkArchitecture(layers: readonly ForeignLayer[], network: Network, file: string): boolean {
  const ours: Described[] = []
  for (const layer of network.layers) {
    if (layer.type === 'dropout') continue
    const described = describeOurs(layer)
    if (described === undefined) return false
    ours.push({ name: layer.name, what: inWords(described) })
  }
  const theirs = describeAll(layers, network.task)
  for (let index = 0; index < Math.max(ours.length, theirs.length); index++) {
    const [own, their] = [ours[index], theirs[index]]
    if (own?.what !== their?.what) throw difference(file, network, own, their)
  }
  return true
}

/** The first layers that differ; undefined where one of the two ends. */
export function difference(file: string, network: Network, own: Described | undefined, their: Described | undefined): TrainError {
  const found = their === undefined ? 'ends before it' : `has layer ${their.name} (${their.what})`
  const wanted = own === undefined ? 'nothing more' : `${own.name} (${own.what})`
  return new TrainError(
    'CHECKPOINT_MISMATCH',
    `${file} ${found} where ${network.name} has ${wanted}; Lockstep would compute something else: import a network that \`lockstep inspect\` knows`,
  )
}

function describeAll(layers: readonly ForeignLayer[], task: Network['task']): Described[] {
  const described: { name: string; what: string; activation: string | undefined }[] = []
  let zeros: number | undefined
  for (const [index, layer] of layers.entries()) {
    if (PASSING.has(layer.className)) continue
    const before = described.at(-1)
    const activation = activationLayer(layer)
    const ahead = zerosOf(layer)
    if (activation !== undefined && before?.activation === 'linear') before.activation = activation
    else if (ahead !== undefined && layers[index + 1]?.className === 'Conv2D') zeros = ahead
    else {
      described.push({ name: layer.name, ...describeTheirs(layer, zeros) })
      zeros = undefined
    }
  }
  // Ours yields logits, and the soft-max is part of the loss and of a prediction.
  const last = described.at(-1)
  if (last !== undefined && isAnswer(last.activation, task)) last.activation = 'linear'
  return described.map(({ name, ...description }) => ({ name, what: inWords(description) }))
}

/** Whether the last layer's activation is the one that our logits get in the loss. */
export function isAnswer(activation: string | undefined, task: Network['task']): boolean {
  return (activation === 'softmax' && task !== 'regression') || (activation === 'sigmoid' && task === 'binary')
}

/** How many zeros a ZeroPadding2D puts on every side; undefined for another layer, or other sides. */
export function zerosOf({ className, config }: ForeignLayer): number | undefined {
  if (className !== 'ZeroPadding2D') return undefined
  const { padding = 1 } = config
  const [first, ...others]: unknown[] = [padding].flat(2)
  return typeof first === 'number' && others.every((side) => side === first) ? first : undefined
}
