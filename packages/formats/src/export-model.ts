import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { openCheckpoint, type Checkpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { isChain, type Network } from '@lockstep/shared/models/network.js'
import type { ParameterEntry } from '@lockstep/shared/parameters/layout.js'
import { reverseInputChannels } from './axes.js'
import { NOTE_NAME, parseNote, type ExportNote } from './export-note.js'
import { TENSOR_ROLES, type FormatName, type TensorRole } from './foreign-model.js'
import { Hdf5File } from './keras/hdf5-file.js'
import { writeKerasArchive } from './keras/keras-archive.js'
import { writeLegacyH5 } from './keras/legacy-h5.js'
import { exportedLayers, modelConfig2, modelConfig3 } from './keras/exported-config.js'
import type { KerasLayer } from './keras/keras-layers.js'
import { writeWeightsH5 } from './keras/weights-h5.js'
import type { NamedTensor } from './named-tensor.js'
import { writeTensorFile } from './safetensors-file.js'
import { stateDictTensors } from './torch/state-dict.js'
import { writeLayersModel } from './tfjs/layers-model-writer.js'

export interface ExportRequest {
  readonly checkpoint: string
  readonly format: FormatName
  /** The file to write, or for tfjs the folder; what is there already is replaced. */
  readonly out: string
  /** Order of the channels that the exported first kernel expects; left out: RGB, but what came from the same tool goes back as it came. */
  readonly channels?: 'rgb' | 'bgr' | undefined
}

export interface ExportReport {
  readonly tensors: number
  readonly parameters: number
  readonly pictures: Pick<ExportNote, 'channels' | 'normalize' | 'mean' | 'std'>
}

/**
 * Writes the weights of a checkpoint as another tool reads them: aside first, then renamed. Velocity and the run's own state stay
 * behind. The checkpoint's digests are compared before.
 * @throws TrainError CHECKPOINT_INVALID, CHECKPOINT_MISMATCH when the format has no room for the network, DISK
 */
export async function exportModel(request: ExportRequest): Promise<ExportReport> {
  const checkpoint = await openCheckpoint(request.checkpoint)
  try {
    await checkpoint.verify()
    const note = noteOf(checkpoint, request)
    const { entries, size } = layoutOf(checkpoint.metadata.network)
    const tensors = namedTensors(checkpoint, entries, note.channels === 'bgr')
    const partial = join(dirname(request.out), `.${basename(request.out)}.partial`)
    try {
      await write(partial, request.format, checkpoint, tensors, JSON.stringify(note))
      await sync(request.format === 'tfjs' ? join(partial, 'model.json') : partial)
      if (request.format === 'tfjs') await rm(request.out, { recursive: true, force: true })
      await rename(partial, request.out)
    } catch (error) {
      await rm(partial, { recursive: true, force: true })
      throw diskError(request.out, error)
    }
    return { tensors: tensors.length, parameters: size, pictures: note }
  } finally {
    await checkpoint.close()
  }
}

/** @throws TrainError CHECKPOINT_INVALID when the checkpoint does not say how pictures are fed to it */
function noteOf({ metadata, path }: Checkpoint, { channels, format }: ExportRequest): ExportNote {
  const { classes, normalize, mean, std, scale } = metadata.preprocessing
  const { origin } = metadata
  const order = channels ?? (origin !== undefined && toolOf(origin.format) === toolOf(format) ? origin.channels : 'rgb')
  // The file has all weights in it, wherever they came from.
  const { weights: _weights, weightsDigest: _digest, trainable: _trainable, ...model } = metadata.recipe.model
  const note = parseNote(JSON.stringify({ model, classes, channels: order, normalize, mean, std, scale }))
  if (note === undefined)
    throw new TrainError('CHECKPOINT_INVALID', `${path} does not say how its pictures were prepared; use another checkpoint`)
  return note
}

/** Formats of one tool keep one order of colours: a file from Keras goes back to Keras as it came. */
function toolOf(format: string): string {
  return format.startsWith('keras') || format === 'tfjs' ? 'keras' : format
}

function namedTensors(checkpoint: Checkpoint, entries: readonly ParameterEntry[], exchange: boolean): NamedTensor[] {
  const first = entries.find(({ kind }) => kind === 'kernel')
  return entries.map((entry) => {
    const slash = entry.name.lastIndexOf('/')
    const read = async (): Promise<Float32Array> => {
      const values = await checkpoint.read(entry.name)
      return exchange && entry === first ? reverseInputChannels(values, entry.shape) : values
    }
    return { layer: entry.name.slice(0, slash), role: roleOf(entry.name.slice(slash + 1)), shape: entry.shape, read }
  })
}

function roleOf(name: string): TensorRole {
  const role = TENSOR_ROLES.find((known) => known === name)
  if (role !== undefined) return role
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `no format has a name for tensors such as ${name}; use the checkpoint itself, which is safetensors`,
  )
}

async function write(
  path: string,
  format: FormatName,
  { metadata: { network } }: Checkpoint,
  tensors: readonly NamedTensor[],
  note: string,
): Promise<void> {
  switch (format) {
    case 'safetensors': {
      const named = tensors.map(({ layer, role, shape, read }) => ({ name: `${layer}/${role}`, shape, read }))
      await writeTensorFile(path, named, { [NOTE_NAME]: note })
      break
    }
    case 'torchvision':
      await writeTensorFile(path, stateDictTensors(network, tensors), { format: 'pt', [NOTE_NAME]: note })
      break
    case 'tfjs': {
      await rm(path, { recursive: true, force: true })
      await mkdir(path)
      await writeLayersModel(path, { tensors, modelConfig: modelConfig2(network), note })
      break
    }
    case 'keras': {
      const modelConfig = JSON.stringify(modelConfig3(network))
      await writeKerasArchive(path, { layers: grouped(network), tensors, modelConfig, note })
      break
    }
    case 'keras3-weights':
      await withHdf5(path, (file) => writeWeightsH5(file, { layers: grouped(network), tensors, note }))
      break
    case 'keras2-h5':
    case 'keras2-weights':
    case 'keras3-h5': {
      const dialect = format === 'keras3-h5' ? 3 : 2
      const architecture = dialect === 3 ? modelConfig3(network) : modelConfig2(network)
      const modelConfig = format === 'keras2-weights' ? undefined : JSON.stringify(architecture)
      const layers = exportedLayers(network).map(({ name }) => name)
      await withHdf5(path, (file) => writeLegacyH5(file, { layers, tensors, modelConfig, dialect, note }))
      break
    }
  }
}

/** Layers that a model of Keras 3 keeps a group for: of a Sequential one all but the input. */
function grouped(network: Network): KerasLayer[] {
  const layers = exportedLayers(network)
  return isChain(network) ? layers.filter(({ className }) => className !== 'InputLayer') : layers
}

async function withHdf5(path: string, work: (file: Hdf5File) => Promise<void>): Promise<void> {
  const file = await Hdf5File.create(path)
  try {
    await work(file)
  } finally {
    file.close()
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function diskError(out: string, error: unknown): unknown {
  if (error instanceof TrainError || !(error instanceof Error) || !('code' in error) || !('syscall' in error)) return error
  return new TrainError('DISK', `cannot write ${out} (${String(error.code)}): free space, or name a place that may be written to`, {
    cause: error,
  })
}
