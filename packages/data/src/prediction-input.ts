import { readFile } from 'node:fs/promises'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { evaluationBatch, type EvaluationBatch } from './evaluation-batch.js'
import { byteValues } from './network-input.js'
import { decodePicture, decodingReason, type Picture } from './picture.js'
import type { Preprocessing } from './preprocessing.js'

/**
 * A picture as an evaluation batch of one, by the same arithmetic as in evaluation; its label says nothing.
 * @param picture a path, or the encoded bytes; @throws TrainError DATA_MISSING when there is no such file, DATA_CORRUPT when it is no picture
 */
export async function predictionBatch(
  picture: string | Buffer,
  preprocessing: Preprocessing,
  views: EvaluationViews,
): Promise<EvaluationBatch> {
  const name = typeof picture === 'string' ? picture : 'the picture'
  const encoded = typeof picture === 'string' ? await readPicture(picture) : picture
  const pictures: Picture[][] = []
  for (const scale of views.scales) {
    const decoded = await decodePicture(encoded, scale).catch((error: unknown) => {
      throw new TrainError('DATA_CORRUPT', `${name} cannot be decoded (${decodingReason(error)}): give a JPEG, PNG or WebP picture`)
    })
    pictures.push([decoded])
  }
  const { inputSize } = preprocessing
  return evaluationBatch({ pictures, labels: new Int32Array(1), views, inputSize, values: byteValues(preprocessing) })
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
