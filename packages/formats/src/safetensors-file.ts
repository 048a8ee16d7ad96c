import { open } from 'node:fs/promises'
import { VELOCITY_PREFIX } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import type { TensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { encodeHeader } from '@lockstep/shared/checkpoint/safetensors.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { TENSOR_ROLES, type ForeignModel, type ForeignTensor } from './foreign-model.js'

/** Safetensors with our own tensor names and axes, whoever wrote them. */

/** @throws TrainError CHECKPOINT_MISMATCH for a tensor whose name does not say what it is */
export function readTensorFile(file: TensorFile, note: string | undefined): ForeignModel {
  const names = [...file.tensors.keys()].filter((name) => !name.startsWith(VELOCITY_PREFIX))
  return {
    format: 'safetensors',
    tensors: names.map((name): ForeignTensor => {
      const slash = name.lastIndexOf('/')
      const role = TENSOR_ROLES.find((known) => known === name.slice(slash + 1))
      if (slash < 1 || role === undefined) {
        throw new TrainError(
          'CHECKPOINT_MISMATCH',
          `${file.path}: tensor ${name} has a name that Lockstep does not know; it takes LAYER/kernel, LAYER/bias and the names of torchvision's VGG, AlexNet and ResNet (features.N.weight, layer1.0.conv1.weight)`,
        )
      }
      return { name, layer: name.slice(0, slash), role, shape: file.tensors.get(name)?.shape ?? [], read: () => file.read(name) }
    }),
    note,
    close: () => file.close(),
  }
}

export interface WrittenTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly read: () => Promise<Float32Array>
}

/** Writes a new file, tensor after tensor in this order. */
export async function writeTensorFile(
  path: string,
  tensors: readonly WrittenTensor[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const handle = await open(path, 'w')
  try {
    await handle.appendFile(encodeHeader(tensors, metadata))
    for (const { read } of tensors) {
      const values = await read()
      await handle.appendFile(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    }
  } finally {
    await handle.close()
  }
}
