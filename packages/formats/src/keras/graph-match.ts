import { createHash } from 'node:crypto'
import { invariant, TrainError } from '@lockstep/shared/errors/train-error.js'
import { INPUT, inputsOf, type Network } from '@lockstep/shared/models/network.js'
import type { ForeignLayer } from '../foreign-model.js'
import { difference, isAnswer, zerosOf } from './architecture-check.js'
import { activationLayer, describeOurs, describeTheirs, inWords, PASSING } from './layer-descriptions.js'

/**
 * Whether the graph that a Keras file states is that of a network of ours, and which of its layers is which of ours. Pure. A layer is
 * known by what it computes and from what: a digest over its description and those of all before it, its name left out.
 */
interface Value {
  /** The layer with the tensors: a ReLU behind it counts to it. */
  readonly name: string
  readonly what: string
  readonly activation: string | undefined
  readonly inputs: readonly Value[]
  /** Zeros around it, of a ZeroPadding2D. */
  readonly zeros?: number | undefined
  readonly key: string
}

/**
 * @returns our layer for each of theirs
 * @throws TrainError CHECKPOINT_MISMATCH naming the first layers that differ
 */
export function matchGraph(layers: readonly ForeignLayer[], network: Network, file: string): Map<string, string> {
  const [ours, theirs] = [ourValue(network), theirValue(layers, network, file)]
  if (ours.key !== theirs.key) {
    const [left, right] = [inOrder(ours), inOrder(theirs)]
    const own = firstStrange(left, right)
    const their = firstStrange(right, left)
    throw difference(file, network, own, their)
  }
  const names = new Map<string, string>()
  pair(ours, theirs, names)
  return names
}

/** The first value that the other graph has not. */
function firstStrange(values: readonly Value[], others: readonly Value[]): { name: string; what: string } | undefined {
  const keys = new Set(others.map(({ key }) => key))
  const found = values.find(({ key }) => !keys.has(key))
  if (found === undefined) return undefined
  const zeros = found.zeros === undefined ? '' : `, zeros around it: ${String(found.zeros)}`
  return { name: found.name, what: `${inWords(found)}${zeros}` }
}

function valueOf(parts: Omit<Value, 'key'>): Value {
  const { what, activation, inputs, zeros } = parts
  const keys = inputs.map(({ key }) => key)
  // A sum has no order.
  if (what === 'Add') keys.sort()
  const key = createHash('sha256')
    .update(JSON.stringify([what, activation, zeros, keys]))
    .digest('hex')
  return { ...parts, key }
}

const picture = (): Value => valueOf({ name: INPUT, what: 'Input', activation: undefined, inputs: [] })

function ourValue(network: Network): Value {
  const values = new Map<string, Value>([[INPUT, picture()]])
  const { layers } = network
  let last: Value | undefined
  layers.forEach((layer, index) => {
    const inputs = inputsOf(network, index).map((name) => {
      const value = values.get(name)
      invariant(value !== undefined, `layer ${name} stands before ${layer.name}`)
      return value
    })
    const described = describeOurs(layer) ?? { what: layer.type, activation: undefined }
    const units = layer.type === 'convolution' ? layer.filters : layer.type === 'dense' ? layer.units : undefined
    last = layer.type === 'dropout' ? inputs[0] : valueOf({ name: layer.name, ...withUnits(described, units), inputs })
    if (last !== undefined) values.set(layer.name, last)
  })
  invariant(last !== undefined, 'a network has layers')
  return last
}

function withUnits<T extends { readonly what: string }>(described: T, units: number | undefined): T {
  return units === undefined ? described : { ...described, what: `${described.what}, ${String(units)} units` }
}

function theirValue(layers: readonly ForeignLayer[], network: Network, file: string): Value {
  const byName = new Map(layers.map((layer) => [layer.name, layer]))
  const known = new Map<string, Value>()
  const resolve = (name: string): Value => {
    const found = known.get(name)
    if (found !== undefined) return found
    const layer = byName.get(name)
    if (layer?.inputs === undefined)
      throw new TrainError(
        'CHECKPOINT_MISMATCH',
        `${file} does not say what layer ${name} takes; ${network.name} branches, so it has to be one functional model, without models in it`,
      )
    const value = foldedValue(layer, layer.inputs.map(resolve))
    known.set(name, value)
    return value
  }
  const taken = new Set(layers.flatMap(({ inputs = [] }) => inputs))
  const ends = layers.filter(({ name }) => !taken.has(name))
  const [end] = ends
  if (end === undefined || ends.length > 1) {
    const which = ends.map(({ name }) => name).join(', ')
    throw new TrainError('CHECKPOINT_MISMATCH', `${file} has not one output but ${which === '' ? 'none' : which}; ${network.name} has one`)
  }
  const last = resolve(end.name)
  return isAnswer(last.activation, network.task) ? valueOf({ ...last, activation: 'linear' }) : last
}

/** What a layer yields, those that are part of another in it: activations, zeros around a picture, one value a map as 1 × 1. */
function foldedValue(layer: ForeignLayer, inputs: readonly Value[]): Value {
  const { className, name, config } = layer
  const [first] = inputs
  if (first === undefined) return className === 'InputLayer' ? picture() : valueOf({ name, ...describeTheirs(layer), inputs })
  if (PASSING.has(className)) return first
  const activation = activationLayer(layer)
  if (activation !== undefined && first.activation === 'linear') return valueOf({ ...first, activation })
  const zeros = zerosOf(layer)
  if (zeros !== undefined && first.zeros === undefined) return valueOf({ ...first, zeros })
  if (className === 'Multiply') return valueOf({ name, ...describeTheirs(layer), inputs: inputs.map(flat) })
  if (className === 'Reshape' && isSingle(config.target_shape)) return valueOf({ ...first, what: `${first.what}${SINGLE}` })
  const padded = first.zeros
  // Zeros are never the largest of what is never negative.
  const isTaken = className === 'Conv2D' || (className === 'MaxPooling2D' && first.activation === 'relu')
  const taken = isTaken ? padded : undefined
  const bare = taken === undefined ? first : valueOf({ ...first, zeros: undefined })
  return valueOf({ name, ...withUnits(describeTheirs(layer, taken), unitsOf(config)), inputs: [bare, ...inputs.slice(1)] })
}

function unitsOf({ filters, units }: ForeignLayer['config']): number | undefined {
  const count = filters ?? units
  return typeof count === 'number' ? count : undefined
}

const SINGLE = ' as 1×1'

/** A gate's values as maps of 1 × 1: for the product they are the same. */
function flat(value: Value): Value {
  return value.what.endsWith(SINGLE) ? valueOf({ ...value, what: value.what.slice(0, -SINGLE.length) }) : value
}

function isSingle(shape: unknown): boolean {
  return Array.isArray(shape) && shape.length === 3 && shape[0] === 1 && shape[1] === 1
}

/** Every value once, those that it is made of before it. */
function inOrder(value: Value, seen = new Set<Value>()): Value[] {
  if (seen.has(value)) return []
  seen.add(value)
  return [...value.inputs.flatMap((input) => inOrder(input, seen)), value]
}

/** Notes which is which, from equal ends backwards. */
function pair(ours: Value, theirs: Value, names: Map<string, string>): void {
  if (names.has(theirs.name)) return
  names.set(theirs.name, ours.name)
  const left = ours.what === 'Add' ? sorted(ours.inputs) : ours.inputs
  const right = theirs.what === 'Add' ? sorted(theirs.inputs) : theirs.inputs
  left.forEach((own, index) => {
    const their = right[index]
    if (their !== undefined) pair(own, their, names)
  })
}

function sorted(values: readonly Value[]): Value[] {
  return [...values].sort((a, b) => (a.key < b.key ? -1 : 1))
}
