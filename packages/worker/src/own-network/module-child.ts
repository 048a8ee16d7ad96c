import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { LayersModel } from '@tensorflow/tfjs-node-gpu'
import { loadTensorFlow, type TensorFlow } from '../engine/load-tensorflow.js'

/**
 * A process that runs a user's module and tells which layers the model has that it makes. What the module prints, throws or ends
 * stays in here. Asked once and answers once, in JSON over Node's IPC channel; the coordinator, which starts it, knows both by shape.
 */
interface Request {
  /** Absolute path. */
  readonly module: string
  readonly inputSize: number
  readonly channels: number
  readonly classes: number
  /** This process ends itself after so long, whatever the module does. */
  readonly limitMs: number
}

/** A marker keeps what the module itself may send apart. */
type Answer = { readonly lockstep: 'model'; readonly config: unknown } | { readonly lockstep: 'failed'; readonly reason: string }

process.once('message', (request: Request) => {
  watch(request.limitMs)
  process.once('uncaughtException', (error: unknown) => fail(error, request))
  process.once('unhandledRejection', (error: unknown) => fail(error, request))
  answer(request).catch((error: unknown) => fail(error, request))
})
process.once('disconnect', () => process.exit(1))

/** A module that never comes back blocks this thread, so another one sees to it that the process ends with its parent. */
function watch(limitMs: number): void {
  const program = `
    const { parent, limitMs } = require('node:worker_threads').workerData
    const started = Date.now()
    setInterval(() => {
      if (process.ppid !== parent || Date.now() - started > limitMs) process.kill(process.pid, 'SIGKILL')
    }, 500)`
  new Worker(program, { eval: true, workerData: { parent: process.ppid, limitMs } }).unref()
}

async function answer({ module, ...sizes }: Request): Promise<void> {
  const tf = loadTensorFlow()
  await tf.ready()
  const classes = layerClasses(tf)
  const loaded = (await import(pathToFileURL(module).href)) as { default?: unknown }
  if (typeof loaded.default !== 'function')
    throw new Reason(`its default export is ${kindOf(loaded.default)}; export default ({ tf, inputSize, channels, classes }) => …`)
  const make = loaded.default as (given: object) => unknown
  const { inputSize, channels, classes: count } = sizes
  const model = await make({ tf, inputSize, channels, classes: count })
  if (!isModel(model)) throw new Reason(`its function gave ${kindOf(model)}; return a tf.LayersModel, as tf.sequential and tf.model make`)
  for (const layer of model.layers) requireKnown(layer, classes)
  send({ lockstep: 'model', config: model.toJSON(undefined, false) })
}

type LayerClass = abstract new (...args: never[]) => unknown

/** tfjs' own classes of layers by name, before a module can have put others in their place. */
function layerClasses(tf: TensorFlow): Map<string, LayerClass> {
  const { classNameMap } = tf.serialization.SerializationMap.getMap()
  return new Map(Object.entries(classNameMap).map(([name, [constructor]]) => [name, constructor as unknown as LayerClass]))
}

function requireKnown(layer: LayersModel['layers'][number], classes: ReadonlyMap<string, LayerClass>): void {
  const name = layer.getClassName()
  if (classes.get(name) === layer.constructor) return
  throw new Reason(
    `layer ${layer.name} (${name}) is of a class of your own, or of another copy of tfjs; use the layers of the tf that the function is given`,
  )
}

function isModel(value: unknown): value is LayersModel {
  return typeof value === 'object' && value !== null && 'layers' in value && Array.isArray(value.layers) && 'toJSON' in value
}

/** Why a module does not do, in our words. */
class Reason extends Error {}

function fail(error: unknown, { module }: Request): void {
  send({ lockstep: 'failed', reason: error instanceof Reason ? error.message : reasonOf(error, module) })
}

/** The first line of what was thrown, and where in the module. */
function reasonOf(error: unknown, module: string): string {
  if (!(error instanceof Error)) return `it threw ${kindOf(error)}${typeof error === 'string' ? `: ${oneLine(error)}` : ''}`
  const stack = error.stack ?? ''
  const at = [pathToFileURL(module).href, module].map((path) => stack.indexOf(`${path}:`) + path.length).find((end) => stack[end] === ':')
  const place = at === undefined ? lineOfMistake(error, module) : /^:(\d+)/.exec(stack.slice(at))?.[1]
  return `${place === undefined ? '' : `line ${place}: `}${error.name}: ${oneLine(error.message)}`
}

/** Node knows where a module cannot be parsed, and tells it only when it prints the error itself. */
function lineOfMistake({ name }: Error, module: string): string | undefined {
  if (name !== 'SyntaxError') return undefined
  const { stderr } = spawnSync(process.execPath, ['--check', module], { encoding: 'utf8', timeout: 10_000 })
  return /:(\d+)$/.exec(stderr.split('\n')[0] ?? '')?.[1]
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? `an object${'constructor' in value ? ` of class ${value.constructor.name}` : ''}` : `a ${typeof value}`
}

function send(answer: Answer): void {
  process.send?.(answer, undefined, undefined, () => process.exit(0))
}
