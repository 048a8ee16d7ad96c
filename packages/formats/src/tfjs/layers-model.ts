import { open, readFile, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { z } from 'zod'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { NOTE_NAME } from '../export-note.js'
import type { ForeignModel, ForeignTensor } from '../foreign-model.js'
import { layersOfConfig } from '../keras/model-config.js'
import { placeOfVariable } from '../keras/variable-names.js'

/** A tfjs LayersModel: `model.json` with architecture and a list of tensors, which lie one after the other in files beside it. */

const manifestSchema = z.array(
  z.object({
    paths: z.array(z.string()).min(1),
    weights: z.array(
      z.object({ name: z.string(), shape: z.array(z.int().min(0)), dtype: z.string(), quantization: z.unknown().optional() }),
    ),
  }),
)

const modelSchema = z.object({
  format: z.string().optional(),
  modelTopology: z.unknown(),
  weightsManifest: manifestSchema,
  userDefinedMetadata: z.record(z.string(), z.unknown()).optional(),
})

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT

/** @param path of the model.json; @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH */
export async function readLayersModel(path: string): Promise<ForeignModel> {
  const model = parseModel(path, await readFile(path, 'utf8'))
  if (model.format === 'graph-model' || !hasLayers(model.modelTopology)) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${path} is a GraphModel, whose layers are folded into operations; convert the Keras model with --output_format tfjs_layers_model instead`,
    )
  }
  const tensors: ForeignTensor[] = []
  for (const group of model.weightsManifest) {
    const shards = await Promise.all(group.paths.map((name) => shardOf(path, name)))
    let offset = 0
    for (const weight of group.weights) {
      if (weight.dtype !== 'float32' || weight.quantization !== undefined) {
        const type = weight.quantization === undefined ? weight.dtype : 'quantized'
        throw new TrainError('CHECKPOINT_MISMATCH', `tensor ${weight.name} of ${path} is ${type}; export the model as float32`)
      }
      const start = offset
      const bytes = weight.shape.reduce((product, side) => product * side, FLOAT_BYTES)
      const read = (): Promise<Float32Array> => readRange(shards, start, bytes)
      tensors.push({ name: weight.name, ...placeOfVariable(weight.name, weight.name, path), shape: weight.shape, read })
      offset += bytes
    }
    const held = shards.reduce((sum, shard) => sum + shard.bytes, 0)
    if (held !== offset) {
      const files = group.paths.join(', ')
      throw new TrainError(
        'CHECKPOINT_INVALID',
        `${path} promises ${String(offset)} bytes of weights, ${files} have ${String(held)}; copy all files of the model again`,
      )
    }
  }
  const note = model.userDefinedMetadata?.[NOTE_NAME]
  return {
    format: 'tfjs',
    tensors,
    layers: layersOfConfig(configOf(model.modelTopology)),
    note: typeof note === 'string' ? note : undefined,
    close: async () => undefined,
  }
}

function parseModel(path: string, text: string): z.infer<typeof modelSchema> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new TrainError('CHECKPOINT_INVALID', `${path} is not whole JSON; copy or export it again`)
  }
  const parsed = modelSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new TrainError('CHECKPOINT_INVALID', `${path} is no model of tfjs (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''})`)
}

/** The converter writes {model_config: …}, tfjs itself the same without that key. */
function configOf(topology: unknown): unknown {
  return typeof topology === 'object' && topology !== null && 'model_config' in topology ? topology.model_config : topology
}

function hasLayers(topology: unknown): boolean {
  return layersOfConfig(configOf(topology)) !== undefined
}

interface Shard {
  readonly path: string
  readonly bytes: number
}

async function shardOf(model: string, name: string): Promise<Shard> {
  const folder = dirname(model)
  const path = join(folder, name)
  const inside = relative(folder, path)
  if (inside.startsWith('..') || isAbsolute(name))
    throw new TrainError('CHECKPOINT_INVALID', `${model} names weights outside of its folder (${name}); export it again`)
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() !== true)
    throw new TrainError('CHECKPOINT_INVALID', `${model} needs ${name} beside it, which is not there; copy all files of the model`)
  return { path, bytes: found.size }
}

/** Bytes of the shards one after the other, from `start` on. */
async function readRange(shards: readonly Shard[], start: number, length: number): Promise<Float32Array> {
  const values = new Float32Array(length / FLOAT_BYTES)
  const bytes = new Uint8Array(values.buffer)
  let base = 0
  for (const { path, bytes: held } of shards) {
    const from = Math.max(start, base)
    const to = Math.min(start + length, base + held)
    if (from < to) {
      const handle = await open(path)
      try {
        for (let done = from; done < to;) {
          const { bytesRead } = await handle.read(bytes, done - start, to - done, done - base)
          if (bytesRead === 0) throw new TrainError('CHECKPOINT_INVALID', `${path} became shorter while it was read; copy it again`)
          done += bytesRead
        }
      } finally {
        await handle.close()
      }
    }
    base += held
  }
  return values
}
