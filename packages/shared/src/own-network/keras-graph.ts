/** The architecture that Keras (2, 3) and tfjs write, as a graph of layers by name. Pure. */

export interface KerasNode {
  readonly name: string
  /** Keras' class: `Conv2D`. */
  readonly className: string
  readonly config: Readonly<Record<string, unknown>>
  /** The layers it is called with, in order; one list a call. Input layers have one empty list. */
  readonly calls: readonly (readonly string[])[]
}

export interface KerasGraph {
  readonly nodes: readonly KerasNode[]
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** [batch, height, width, channels] of the input, null where any size will do; undefined where the file does not say. */
  readonly inputShape: readonly (number | null)[] | undefined
}

/** Name of the input of a Sequential model, which may have no layer for it. */
const SEQUENTIAL_INPUT = '(input)'

/** @returns undefined when this is no architecture of layers */
export function kerasGraph(modelConfig: unknown): KerasGraph | undefined {
  if (!isRecord(modelConfig)) return undefined
  const { config } = modelConfig
  const list = Array.isArray(config) ? (config as unknown[]) : isRecord(config) && Array.isArray(config.layers) ? config.layers : undefined
  if (list === undefined) return undefined
  const nodes = list.filter(isRecord).map(nodeOf)
  if (modelConfig.class_name === 'Sequential' || Array.isArray(config)) return chainOf(nodes, config)
  if (!isRecord(config)) return undefined
  return {
    nodes,
    inputs: namesOf(config.input_layers),
    outputs: namesOf(config.output_layers),
    inputShape: nodes.map(({ config: own }) => shapeOf(own)).find((shape) => shape !== undefined),
  }
}

/** Layers one behind the other, the first behind the picture. */
function chainOf(nodes: readonly KerasNode[], config: unknown): KerasGraph {
  const layers = nodes.filter(({ className }) => className !== 'InputLayer')
  const input: KerasNode = { name: SEQUENTIAL_INPUT, className: 'InputLayer', config: {}, calls: [[]] }
  const chained = layers.map((node, index) => ({ ...node, calls: [[layers[index - 1]?.name ?? SEQUENTIAL_INPUT]] }))
  const stated = isRecord(config) ? numbersOf(config.build_input_shape) : undefined
  return {
    nodes: [input, ...chained],
    inputs: [SEQUENTIAL_INPUT],
    outputs: [layers.at(-1)?.name ?? SEQUENTIAL_INPUT],
    inputShape: nodes.map(({ config: own }) => shapeOf(own)).find((shape) => shape !== undefined) ?? stated,
  }
}

function nodeOf(json: Record<string, unknown>): KerasNode {
  const config = isRecord(json.config) ? json.config : {}
  const name = [json.name, config.name].find((one) => typeof one === 'string') ?? ''
  const calls = Array.isArray(json.inbound_nodes) ? (json.inbound_nodes as unknown[]).map(callOf) : []
  return { name, className: String(json.class_name), config, calls: calls.length === 0 ? [[]] : calls }
}

/** Keras 2 and tfjs: `[["conv1", 0, 0, {}], …]`. Keras 3: `{args: […{config: {keras_history: ["conv1", 0, 0]}}…]}`. */
function callOf(call: unknown): string[] {
  if (Array.isArray(call)) {
    if (typeof call[0] === 'string') return [call[0]]
    return (call as unknown[]).flatMap((origin) => (Array.isArray(origin) && typeof origin[0] === 'string' ? [origin[0]] : []))
  }
  return isRecord(call) ? historiesOf(call.args) : []
}

function historiesOf(value: unknown): string[] {
  if (Array.isArray(value)) return (value as unknown[]).flatMap(historiesOf)
  if (!isRecord(value)) return []
  const history = isRecord(value.config) ? value.config.keras_history : undefined
  return Array.isArray(history) && typeof history[0] === 'string' ? [history[0]] : []
}

/** Names in `[["dense", 0, 0]]`, or in `["dense", 0, 0]` as Keras 3 writes a single one. */
function namesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  return callOf(value)
}

/** [batch, height, width, channels], of an input layer or a first layer that has the input in it. */
function shapeOf(config: Readonly<Record<string, unknown>>): (number | null)[] | undefined {
  return numbersOf(config.batch_shape ?? config.batch_input_shape)
}

function numbersOf(value: unknown): (number | null)[] | undefined {
  if (!Array.isArray(value)) return undefined
  return (value as unknown[]).map((size) => (typeof size === 'number' ? size : null))
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
