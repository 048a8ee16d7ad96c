import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'
import * as yauzl from 'yauzl'
import { ZipFile } from 'yazl'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { ForeignModel } from '../foreign-model.js'
import { Hdf5File } from './hdf5-file.js'
import { layersOfConfig, placesOfConfig } from './model-config.js'
import { readWeightsH5, writeWeightsH5, type WeightsH5Content } from './weights-h5.js'

/** The `.keras` of Keras 3: a zip of the architecture as JSON and the weights as HDF5, neither of which names the other's layers. */

const CONFIG = 'config.json'
const METADATA = 'metadata.json'
const WEIGHTS = 'model.weights.h5'

/** JSON in an archive is small; more is not JSON of Keras. */
const JSON_LIMIT_BYTES = 64 * 1024 * 1024

/** @throws TrainError CHECKPOINT_INVALID when it is cut short, damaged or another zip */
export async function readKerasArchive(path: string): Promise<ForeignModel> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-keras-'))
  const weights = join(folder, WEIGHTS)
  let file: Hdf5File | undefined
  const close = async (): Promise<void> => {
    file?.close()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const texts = await extract(path, weights)
    const modelConfig = parsed(path, CONFIG, texts.get(CONFIG))
    file = await Hdf5File.open(weights)
    const model = readWeightsH5(file, placesOfConfig(modelConfig))
    return { ...model, format: 'keras', layers: layersOfConfig(modelConfig), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Writes the weights to a path; returns the archive's JSON texts. */
async function extract(path: string, weights: string): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  let found = false
  try {
    const zip = await yauzl.openPromise(path)
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName === WEIGHTS) {
        found = true
        const check = new Checksum(entry.crc32)
        await pipeline(await zip.openReadStreamPromise(entry), check, createWriteStream(weights))
      } else if ([CONFIG, METADATA].includes(entry.fileName) && entry.uncompressedSize <= JSON_LIMIT_BYTES) {
        const bytes = await buffer((await zip.openReadStreamPromise(entry)).pipe(new Checksum(entry.crc32)))
        texts.set(entry.fileName, bytes.toString('utf8'))
      }
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && 'syscall' in error && error.code !== 'ENOENT')
      throw new TrainError(
        'DISK',
        `cannot unpack ${path} into ${tmpdir()} (${String(error.code)}); free space, or set TMPDIR to another folder`,
      )
    throw new TrainError('CHECKPOINT_INVALID', `${path} is not a whole zip; copy or export it again`, { cause: error })
  }
  if (!found || !texts.has(CONFIG))
    throw new TrainError('CHECKPOINT_INVALID', `${path} is a zip without ${found ? CONFIG : WEIGHTS}: no model that Keras 3 saved`)
  return texts
}

/** Passes bytes through and fails at the end when they are not those that were packed: yauzl does not look. */
class Checksum extends Transform {
  #crc = 0
  readonly #expected: number

  constructor(expected: number) {
    super()
    this.#expected = expected
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: (error: null, chunk: Buffer) => void): void {
    this.#crc = crc32(chunk, this.#crc)
    done(null, chunk)
  }

  override _flush(done: (error?: Error) => void): void {
    if (this.#crc === this.#expected) done()
    else done(new Error('the checksum of an entry is wrong'))
  }
}

function parsed(path: string, name: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    throw new TrainError('CHECKPOINT_INVALID', `${path} has a damaged ${name}; copy or export it again`)
  }
}

export interface KerasArchiveContent extends WeightsH5Content {
  /** The architecture as JSON. */
  readonly modelConfig: string
}

/** Writes an archive; the weights lie beside it while it is made. Stored, not compressed, as Keras does. */
export async function writeKerasArchive(path: string, content: KerasArchiveContent): Promise<void> {
  const weights = `${path}.weights`
  try {
    const file = await Hdf5File.create(weights)
    try {
      await writeWeightsH5(file, content)
    } finally {
      file.close()
    }
    const zip = new ZipFile()
    const metadata = JSON.stringify({ keras_version: '3.13.0' })
    zip.addBuffer(Buffer.from(metadata), METADATA, { compress: false })
    zip.addBuffer(Buffer.from(content.modelConfig), CONFIG, { compress: false })
    zip.addReadStreamLazy(WEIGHTS, { compress: false }, (give) => give(null, createReadStream(weights)))
    zip.end()
    await pipeline(zip.outputStream, createWriteStream(path))
  } finally {
    await rm(weights, { force: true })
  }
}
