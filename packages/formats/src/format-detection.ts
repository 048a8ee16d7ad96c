import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openTensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { METADATA_KEY } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { NOTE_NAME } from './export-note.js'
import type { FormatName, ForeignModel } from './foreign-model.js'
import { Hdf5File } from './keras/hdf5-file.js'
import { readKerasArchive } from './keras/keras-archive.js'
import { isLegacyH5, readLegacyH5 } from './keras/legacy-h5.js'
import { isWeightsH5, readWeightsH5 } from './keras/weights-h5.js'
import { readTensorFile } from './safetensors-file.js'
import { isStateDict, readStateDict } from './torch/state-dict.js'
import { readLayersModel } from './tfjs/layers-model.js'

/** Opens a file of any format, which is told from its content and not from its name. */

const HDF5 = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1')
const ZIP = Buffer.from('PK\x03\x04', 'latin1')
/** A pickle of protocol 2 or later, as PyTorch wrote before its zips. */
const PICKLE = 0x80

/**
 * @param expected what a person says it is
 * @throws TrainError DATA_MISSING when there is no such file; CHECKPOINT_INVALID, CHECKPOINT_MISMATCH naming what it is and the remedy
 */
export async function openForeignModel(path: string, expected?: FormatName): Promise<ForeignModel> {
  const model = await openByContent(path)
  if (expected === undefined || expected === model.format) return model
  await model.close()
  throw new TrainError('USAGE', `${path} is ${model.format}, not ${expected}; leave --format out, or name the other file`)
}

async function openByContent(path: string): Promise<ForeignModel> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new TrainError('DATA_MISSING', `${path}: there is no such file; check the path`)
  if (found.isDirectory()) return await openFolder(path)
  const start = await firstBytes(path, HDF5.length)
  if (start.subarray(0, HDF5.length).equals(HDF5)) return await openHdf5(path)
  if (start.subarray(0, ZIP.length).equals(ZIP)) return await openZip(path)
  // A safetensors file starts with the length of its header, whose low byte can be any.
  if (isLength(start)) return await openSafetensors(path)
  if (start[0] === PICKLE) throw pickle(path)
  if (start[0] === 0x7b) return await readLayersModel(path)
  return await openSafetensors(path)
}

/** Eight bytes, little-endian, that are less than 4 GiB. */
function isLength(start: Buffer): boolean {
  return start.length === 8 && start.readUInt32LE(4) === 0
}

async function firstBytes(path: string, length: number): Promise<Buffer> {
  const handle = await open(path)
  try {
    const bytes = Buffer.alloc(length)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function openFolder(path: string): Promise<ForeignModel> {
  const has = async (name: string): Promise<boolean> => (await stat(join(path, name)).catch(() => undefined))?.isFile() === true
  if (await has('model.json')) return await readLayersModel(join(path, 'model.json'))
  if ((await has('saved_model.pb')) || (await has('saved_model.pbtxt')))
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${path} is a SavedModel, whose weights TensorFlow's library for JavaScript does not hand out; load it in Python and save it as .keras or .h5`,
    )
  throw new TrainError('USAGE', `${path} is a folder without a model.json of tfjs; name a file, or such a folder`)
}

async function openHdf5(path: string): Promise<ForeignModel> {
  const file = await Hdf5File.open(path)
  try {
    if (isLegacyH5(file)) return readLegacyH5(file)
    if (isWeightsH5(file)) return readWeightsH5(file)
  } catch (error) {
    file.close()
    throw error
  }
  file.close()
  throw new TrainError('CHECKPOINT_MISMATCH', `${path} is HDF5, but no model that Keras saved: it has neither layer_names nor layers`)
}

async function openZip(path: string): Promise<ForeignModel> {
  // PyTorch's own files are zips as well: of pickles, below a folder.
  const names = await firstBytes(path, 4096)
  if (names.includes('/data.pkl')) throw pickle(path)
  return await readKerasArchive(path)
}

function pickle(path: string): TrainError {
  return new TrainError(
    'CHECKPOINT_MISMATCH',
    `${path} is a pickle of PyTorch, which is a program; save the tensors in Python: safetensors.torch.save_file(model.state_dict(), "model.safetensors")`,
  )
}

async function openSafetensors(path: string): Promise<ForeignModel> {
  const file = await openTensorFile(path).catch((error: unknown) => {
    const known = 'safetensors, .h5, .keras, model.json of tfjs'
    if (error instanceof TrainError) throw new TrainError(error.code, `${path} is of no known format (${known}): ${error.message}`)
    throw error
  })
  if (METADATA_KEY in file.strings) {
    await file.close()
    throw new TrainError('USAGE', `${path} is a checkpoint of Lockstep already; predict, evaluate and initialization.from take it as it is`)
  }
  const note = file.strings[NOTE_NAME]
  try {
    return isStateDict(file.tensors.keys()) ? readStateDict(file, note) : readTensorFile(file, note)
  } catch (error) {
    await file.close()
    throw error
  }
}
