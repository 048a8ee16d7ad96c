import { TrainError } from '../errors/train-error.js'
import { INPUT, type LayerSpec } from '../models/graph.js'
import { layerShapes } from '../models/shapes.js'
import { kerasGraph, type KerasGraph, type KerasNode } from './keras-graph.js'
import {
  convertLayer,
  leftoversOf,
  Refusal,
  type BareLayer,
  type Conversion,
  type FunctionName,
  type Leftover,
} from './layer-conversion.js'

/** A network that Keras or tfjs describes, as layers of ours. Pure. */

export interface ConversionOptions {
  /** What is named in messages: `my-model.mjs`. */
  readonly source: string
  /** Pixels of the recipe. */
  readonly inputSize: number
  /** Of the recipe, where it says so. */
  readonly channels?: 1 | 3 | undefined
  /** Units the last layer needs, and what for. */
  readonly units: number
  readonly task: 'classes' | 'binary' | 'regression'
  /** [batch, height, width, channels] of the input, where it is known apart from the description. */
  readonly inputShape?: readonly (number | null)[] | undefined
}

export interface ConvertedNetwork {
  readonly layers: readonly LayerSpec[]
  readonly channels: 1 | 3
  /** What was understood otherwise than it was written; a sentence each. */
  readonly notes: readonly string[]
}

/**
 * The layers of a model in an order in which they can be computed.
 * @param modelConfig `{class_name, config}` as Keras and tfjs write it
 * @throws TrainError RECIPE_INVALID naming the layer, its class, the reason and the remedy
 */
export function convertNetwork(modelConfig: unknown, options: ConversionOptions): ConvertedNetwork {
  const graph = kerasGraph(modelConfig)
  if (graph === undefined)
    throw refused(options.source, 'it describes no layers; save a LayersModel of tfjs, or a Keras model converted to one')
  if (graph.inputs.length !== 1 || graph.outputs.length !== 1) {
    const [inputs, outputs] = [graph.inputs.length, graph.outputs.length].map(String)
    throw refused(
      options.source,
      `it has ${inputs ?? ''} inputs and ${outputs ?? ''} outputs; one picture goes in, and one row of values comes out`,
    )
  }
  const channels = channelsOf(graph, options)
  const builder = new Builder(options, channels)
  const output = outputOf(graph, options, (note) => builder.note(note))
  for (const node of inOrder(graph, options.source)) {
    if (node.name === output.stripped) continue
    const isOutput = node.name === output.name
    try {
      builder.add(node, { readers: readersOf(graph, node.name), folded: isOutput ? output.folded : undefined })
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      throw refused(options.source, `layer ${node.name} (${node.className}) ${error.message}`)
    }
  }
  return { ...builder.finish(), channels }
}

function refused(source: string, why: string): TrainError {
  return new TrainError('RECIPE_INVALID', `model.from: ${source}: ${why}`)
}

function channelsOf(graph: KerasGraph, { source, inputSize, channels: wanted, inputShape }: ConversionOptions): 1 | 3 {
  const shape = inputShape ?? graph.inputShape
  const [, height, width, channels] = shape ?? []
  if (shape?.length !== 4 || (channels !== 1 && channels !== 3)) {
    const found = shape === undefined ? 'of unknown shape' : `[${shape.slice(1).map(String).join(', ')}]`
    throw refused(source, `its input is ${found}; pictures come as [height, width, 3], or with 1 channel`)
  }
  for (const side of [height, width]) {
    if (side === null || side === undefined || side === inputSize) continue
    throw refused(
      source,
      `its input has ${String(height)} × ${String(width)} pixels, the recipe ${String(inputSize)}; set model.inputSize to what it takes`,
    )
  }
  if (wanted !== undefined && wanted !== channels)
    throw refused(source, `its input has ${String(channels)} channels, model.channels says ${String(wanted)}; leave model.channels out`)
  return channels
}

/** The function that the loss has in it; linear: none. */
type Folded = 'softmax' | 'sigmoid' | 'linear'

const FOLDED: Record<ConversionOptions['task'], Folded> = { classes: 'softmax', binary: 'sigmoid', regression: 'linear' }

interface Output {
  /** The layer whose output is the network's. */
  readonly name: string
  /** A layer behind it, nothing but the function that the loss has in it. */
  readonly stripped: string | undefined
  /** The function of the last layer that the loss has in it. */
  readonly folded: Folded
}

/** The loss works on what stands before a final soft-max, or before a final sigmoid of one unit. */
function outputOf(graph: KerasGraph, { task }: ConversionOptions, note: (text: string) => void): Output {
  const folded = FOLDED[task]
  const named = graph.outputs[0] ?? ''
  const last = graph.nodes.find(({ name }) => name === named)
  const before = last?.calls[0]?.[0]
  const isFunction = last?.className === 'Softmax' || last?.className === 'Activation'
  const activation = last?.className === 'Softmax' ? 'softmax' : last?.config.activation
  const isFolded = activation === folded
  if (isFolded && folded !== 'linear') note(`the ${folded} of the last layer, ${named}, is part of the loss here`)
  return isFunction && isFolded && before !== undefined
    ? { name: before, stripped: named, folded }
    : { name: named, stripped: undefined, folded }
}

function readersOf({ nodes }: KerasGraph, name: string): number {
  return nodes.reduce((sum, { calls }) => sum + calls.flat().filter((input) => input === name).length, 0)
}

/** What is taken stands before what takes it. */
function inOrder(graph: KerasGraph, source: string): KerasNode[] {
  const shared = graph.nodes.find(({ calls }) => calls.length > 1)
  if (shared !== undefined)
    throw refused(source, `layer ${shared.name} (${shared.className}) is used more than once; make a layer for each place`)
  const ordered: KerasNode[] = []
  const done = new Set<string>()
  const left = [...graph.nodes]
  while (left.length > 0) {
    const next = left.findIndex(({ calls }) => calls.flat().every((name) => done.has(name)))
    const [node] = left.splice(next, 1)
    if (next < 0 || node === undefined)
      throw refused(source, 'its layers take each other in a circle, or one that is not there; save it again')
    ordered.push(node)
    done.add(node.name)
  }
  return ordered
}

interface NodePlace {
  /** How many layers take its output. */
  readonly readers: number
  /** Of the last layer: the function that goes into the loss. */
  readonly folded: Folded | undefined
}

/** What a layer of theirs is in the network of ours. */
interface Placed {
  /** The layer of ours whose output it is. */
  readonly name: string
  /** Zeros that the next convolution puts around. */
  readonly zeros: number
  /** The layer itself became that layer, so a function behind it may become part of it. */
  readonly open: boolean
}

class Builder {
  readonly #options: ConversionOptions
  readonly #layers: LayerSpec[] = []
  readonly #shapes = new Map<string, readonly number[]>()
  readonly #placed = new Map<string, Placed>()
  readonly #notes: string[] = []
  readonly #leftovers = new Map<Leftover, string>()

  constructor(options: ConversionOptions, channels: number) {
    this.#options = options
    this.#shapes.set(INPUT, [options.inputSize, options.inputSize, channels])
  }

  note(text: string): void {
    this.#notes.push(`${this.#options.source}: ${text}`)
  }

  /** @throws Refusal */
  add(node: KerasNode, { readers, folded }: NodePlace): void {
    if (node.className === 'InputLayer') {
      this.#placed.set(node.name, { name: INPUT, zeros: 0, open: false })
      return
    }
    const inputs = (node.calls[0] ?? []).map((name) => this.#placed.get(name) ?? { name, zeros: 0, open: false })
    const shape = this.#shapes.get(inputs[0]?.name ?? '') ?? []
    const conversion = convertLayer(node, shape.length + 1)
    for (const leftover of leftoversOf(node)) if (!this.#leftovers.has(leftover)) this.#leftovers.set(leftover, node.name)
    const placed = this.#place(node, conversion, inputs, folded)
    this.#placed.set(node.name, { ...placed, open: placed.open && readers === 1 })
  }

  #place(node: KerasNode, conversion: Conversion, inputs: readonly Placed[], folded: NodePlace['folded']): Placed {
    const padded = inputs.find(({ zeros }) => zeros > 0)
    const [input] = inputs
    if (input === undefined) throw new Refusal('takes nothing; connect it')
    const isValid = conversion.kind === 'layer' && conversion.layer.type === 'convolution' && conversion.layer.padding === 'valid'
    if (padded !== undefined && !isValid) throw new Refusal('stands behind zeroPadding2d; only a conv2d with padding valid may stand there')
    switch (conversion.kind) {
      case 'nothing':
        return { ...input, open: false }
      case 'zeros':
        return { name: input.name, zeros: conversion.pixels, open: false }
      case 'function':
        return this.#function(node.name, input, conversion, folded)
      case 'sum':
        return this.#sum(node.name, inputs)
      case 'concatenation':
        if (inputs.length < 2) throw new Refusal('joins one input; leave it out')
        this.#emit({ type: 'concatenate', name: node.name, inputs: inputs.map(({ name }) => name) })
        return { name: node.name, zeros: 0, open: false }
      case 'layer': {
        const layer = padded === undefined ? conversion.layer : { ...conversion.layer, padding: padded.zeros }
        this.#emit(this.#withInput(layer as BareLayer, input.name))
        const open = { name: node.name, zeros: 0, open: ACTIVATED.has(layer.type) }
        return conversion.activation === 'linear'
          ? open
          : this.#function(`${node.name}_${conversion.activation}`, open, { function: conversion.activation }, folded)
      }
    }
  }

  /** A function: part of the layer before, or of the loss, or a layer of its own. */
  #function(name: string, input: Placed, what: { function: FunctionName; slope?: number }, folded: NodePlace['folded']): Placed {
    const { function: named, slope } = what
    if (named === 'linear' || named === folded) return { ...input, open: false }
    if (folded !== undefined) {
      const binary = named === 'sigmoid' && folded === 'softmax' ? '; for one unit and two classes say model.task: binary' : ''
      const end = folded === 'linear' ? 'a value ends in none' : `end in ${folded}, or in none`
      throw new Refusal(`is the last one and has the activation ${named}; ${end}${binary}`)
    }
    if (named === 'softmax') throw new Refusal('has a soft-max inside of the network; only the last layer may have one')
    const at = input.open ? this.#layers.findIndex((layer) => layer.name === input.name) : -1
    const before = this.#layers[at]
    if (before !== undefined && (named === 'relu' || (named === 'sigmoid' && before.type === 'dense'))) {
      this.#layers[at] = { ...before, activation: named } as LayerSpec
      return { name: input.name, zeros: 0, open: false }
    }
    const layer: BareLayer = { type: 'activation', name, function: named, ...(slope === undefined ? {} : { slope }) }
    this.#emit(this.#withInput(layer, input.name))
    return { name, zeros: 0, open: false }
  }

  /** Two at a time, left to right. */
  #sum(name: string, inputs: readonly Placed[]): Placed {
    const [first, ...others] = inputs
    if (first === undefined || others.length === 0) throw new Refusal('adds one input; leave it out')
    let sum = first.name
    others.forEach((other, index) => {
      const own = index === others.length - 1 ? name : `${name}_${String(index + 1)}`
      this.#emit({ type: 'add', name: own, inputs: [sum, other.name], activation: 'linear' })
      sum = own
    })
    return { name, zeros: 0, open: true }
  }

  #withInput(layer: BareLayer, input: string): LayerSpec {
    const isNext = (this.#layers.at(-1)?.name ?? INPUT) === input
    return (isNext ? layer : { ...layer, inputs: [input] }) as LayerSpec
  }

  #emit(layer: LayerSpec): void {
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(layer.name))
      throw new Refusal('has a name that no tensor may bear; use letters, digits, "_", "." and "-"')
    if (this.#shapes.has(layer.name))
      throw new Refusal(
        `would be called ${layer.name}, and so is ${layer.name === INPUT ? 'the picture' : 'another layer'}; give it another name`,
      )
    const names = layer.inputs ?? [this.#layers.at(-1)?.name ?? INPUT]
    const shapes = names.map((name) => this.#shapes.get(name) ?? [])
    if (layer.type === 'dense' && shapes[0]?.length !== 1)
      throw new Refusal(`takes maps of ${(shapes[0] ?? []).join(' × ')}; put flatten or globalAveragePooling2d before it`)
    this.#layers.push(layer)
    this.#shapes.set(layer.name, layerShapes(layer, shapes).output)
  }

  /** @throws TrainError RECIPE_INVALID when what comes out is not what the data needs */
  finish(): Pick<ConvertedNetwork, 'layers' | 'notes'> {
    const { source, units, task } = this.#options
    const last = this.#layers.at(-1)
    if (last === undefined) throw refused(source, 'it has no layers')
    const output = this.#shapes.get(last.name) ?? []
    if (output.join() !== String(units)) {
      const wanted = task !== 'classes' ? `a ${task} task needs 1 unit` : `the data has ${String(units)} classes`
      const remedy =
        output.join() === '1'
          ? 'give it a unit a class, or set model.task: binary'
          : 'make its last layer a dense one with as many units as `classes` says'
      throw refused(source, `its last layer, ${last.name}, yields ${output.join(' × ')} values a picture, ${wanted}; ${remedy}`)
    }
    this.#namePredictions(last)
    for (const [leftover, layer] of this.#leftovers) this.note(LEFTOVERS[leftover](layer))
    return { layers: this.#layers, notes: this.#notes }
  }

  /** As in every network of ours, so that a new head can be told from the rest. */
  #namePredictions(last: LayerSpec): void {
    if (last.type !== 'dense' || last.name === PREDICTIONS || this.#shapes.has(PREDICTIONS)) return
    this.#layers[this.#layers.length - 1] = { ...last, name: PREDICTIONS }
    this.note(`the last layer, ${last.name}, is called ${PREDICTIONS} here`)
  }
}

const PREDICTIONS = 'predictions'

/** Layers that a ReLU may be part of. */
const ACTIVATED: ReadonlySet<LayerSpec['type']> = new Set(['convolution', 'dense', 'batchNormalization', 'add'])

const LEFTOVERS: Record<Leftover, (layer: string) => string> = {
  initializers: (layer) =>
    `first weights are those of the recipe (initialization), not of the layers' own initializers, as ${layer} has one`,
  seed: (layer) => `the seed of ${layer} is not used: the masks of dropout come from the seed of the recipe`,
}
