import { open, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { NOTE_NAME } from '../export-note.js'
import type { NamedTensor } from '../named-tensor.js'

/** Bytes a shard may have: tfjs' own limit, made for browsers' caches. */
const SHARD_BYTES = 4 * 1024 * 1024

export interface LayersModelContent {
  readonly tensors: readonly NamedTensor[]
  /** The architecture, as Keras 2 writes it. */
  readonly modelConfig: unknown
  readonly note: string
}

/** Writes model.json and its shards into a folder that exists. */
export async function writeLayersModel(folder: string, { tensors, modelConfig, note }: LayersModelContent): Promise<void> {
  const total = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 4), 0)
  const count = Math.max(1, Math.ceil(total / SHARD_BYTES))
  const paths = Array.from({ length: count }, (_, index) => `group1-shard${String(index + 1)}of${String(count)}.bin`)
  await writeShards(folder, paths, tensors)
  const weights = tensors.map(({ layer, role, shape }) => ({ name: `${layer}/${role}`, shape, dtype: 'float32' }))
  const model = {
    format: 'layers-model',
    generatedBy: 'lockstep',
    convertedBy: null,
    modelTopology: { keras_version: '2.15.0', backend: 'tensorflow', model_config: modelConfig },
    weightsManifest: [{ paths, weights }],
    userDefinedMetadata: { [NOTE_NAME]: note },
  }
  await writeFile(join(folder, 'model.json'), JSON.stringify(model))
}

async function writeShards(folder: string, paths: readonly string[], tensors: readonly NamedTensor[]): Promise<void> {
  let shard = -1
  let left = 0
  let handle: FileHandle | undefined
  try {
    for (const { read } of tensors) {
      const values = await read()
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      for (let at = 0; at < bytes.length;) {
        if (left === 0) {
          await handle?.close()
          handle = await open(join(folder, paths[++shard] ?? ''), 'w')
          left = SHARD_BYTES
        }
        const part = bytes.subarray(at, at + left)
        await handle?.appendFile(part)
        at += part.length
        left -= part.length
      }
    }
  } finally {
    await handle?.close()
  }
}
