import { readFile } from 'node:fs/promises'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { centerGeometry } from '@lockstep/shared/sampling/geometry.js'
import { byteValues, inputFloats, writeInput } from './network-input.js'
import { decodePicture, decodingReason } from './picture.js'
import type { Preprocessing } from './preprocessing.js'

/**
 * A picture as the network's input: [side, side, channels], by the same arithmetic as in evaluation.
 * @param picture a path, or the encoded bytes; @throws TrainError DATA_MISSING when there is no such file, DATA_CORRUPT when it is no picture
 */
export async function decodeForPrediction(picture: string | Buffer, preprocessing: Preprocessing): Promise<Float32Array<ArrayBuffer>> {
  const name = typeof picture === 'string' ? picture : 'the picture'
  const encoded = typeof picture === 'string' ? await readPicture(picture) : picture
  const decoded = await decodePicture(encoded, preprocessing.scale).catch((error: unknown) => {
    throw new TrainError('DATA_CORRUPT', `${name} cannot be decoded (${decodingReason(error)}): give a JPEG, PNG or WebP picture`)
  })
  const side = preprocessing.inputSize
  const out = new Float32Array(inputFloats(preprocessing))
  writeInput(decoded, centerGeometry(preprocessing.scale), side, byteValues(preprocessing), out, 0)
  return out
}

async function readPicture(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : `it cannot be read (${String(code)})`
    throw new TrainError('DATA_MISSING', `no picture ${path}: ${why}; check the path`)
  }
}
