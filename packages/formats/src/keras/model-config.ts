import type { ForeignLayer } from '../foreign-model.js'

/** Reads the architecture that Keras (2, 3) and tfjs write: `{class_name, config: {layers: […]}}`, models within models flattened. Pure. */

interface LayerJson {
  readonly className: string
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly inputs?: readonly string[] | undefined
}

/** @returns undefined when this is no architecture of layers */
export function layersOfConfig(modelConfig: unknown): ForeignLayer[] | undefined {
  const layers = listOf(modelConfig)
  return layers?.flatMap((json) => {
    const layer = layerOf(json)
    if (layer === undefined) return []
    return layersOfConfig(json) ?? [layer]
  })
}

/**
 * Names of layers by where Keras 3 keeps their variables: `layers/conv2d_1`. The place is the class in snake case, with a
 * number from the second on; a model within the model has its layers below its own place.
 */
export function placesOfConfig(modelConfig: unknown, root = 'layers'): Map<string, string> {
  const places = new Map<string, string>()
  const used = new Map<string, number>()
  for (const json of listOf(modelConfig) ?? []) {
    const layer = layerOf(json)
    if (layer === undefined) continue
    const stem = snakeCase(layer.className)
    const before = used.get(stem) ?? 0
    used.set(stem, before + 1)
    const place = `${root}/${before === 0 ? stem : `${stem}_${String(before)}`}`
    places.set(place, layer.name)
    for (const [inner, name] of placesOfConfig(json, `${place}/layers`)) places.set(inner, name)
  }
  return places
}

/** As `keras.src.utils.naming.to_snake_case`: Conv2D is conv2d, MaxPooling2D max_pooling2d. */
export function snakeCase(name: string): string {
  return name
    .replaceAll(/\W+/g, '')
    .replaceAll(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
}

function listOf(json: unknown): readonly unknown[] | undefined {
  if (!isRecord(json) || !isRecord(json.config)) return undefined
  return Array.isArray(json.config.layers) ? json.config.layers : undefined
}

function layerOf(json: unknown): LayerJson | undefined {
  if (!isRecord(json) || typeof json.class_name !== 'string') return undefined
  const config = isRecord(json.config) ? json.config : {}
  const name = typeof config.name === 'string' ? config.name : typeof json.name === 'string' ? json.name : json.class_name
  return { className: json.class_name, name, config, inputs: inputsOf(json.inbound_nodes) }
}

/**
 * Names of the layers that a layer of a functional model takes: `[[["a", 0, 0, {}], …]]` of Keras 2 and tfjs, tensors with a
 * `keras_history` of Keras 3. Undefined in a Sequential model, and of a layer that is used more than once.
 */
function inputsOf(nodes: unknown): string[] | undefined {
  if (!Array.isArray(nodes) || nodes.length > 1) return undefined
  const found: string[] = []
  collectInputs(nodes[0], found)
  return found
}

function collectInputs(node: unknown, found: string[]): void {
  if (Array.isArray(node)) {
    if (typeof node[0] === 'string' && typeof node[1] === 'number') found.push(node[0])
    else for (const item of node) collectInputs(item, found)
  } else if (isRecord(node)) {
    const { keras_history: history } = node
    for (const value of history === undefined ? Object.values(node) : [history]) collectInputs(value, found)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
