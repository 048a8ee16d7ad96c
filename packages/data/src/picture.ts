import { TrainError } from '@lockstep/shared/errors/train-error.js'
import sharp, { type Sharp } from 'sharp'

// Parallelism is over pictures, and each is decoded once: threads inside one picture and libvips' own cache only cost memory.
sharp.concurrency(1)
sharp.cache(false)

/** Decoded pixels, 8-bit sRGB, row after row, no padding: height · width · 3 values. */
export interface Picture {
  readonly pixels: Uint8Array
  readonly height: number
  readonly width: number
}

// A cut or damaged picture is an error, oddities of its metadata are not. The same when packing and when training.
const READING = { failOn: 'error' } as const

/** Versions of the decoder: part of what cached statistics are keyed by. */
export const decoderVersion = `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`

/** Why a picture could not be decoded, on one line. */
export function decodingReason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]?.replace(/^Input buffer /, 'the file ') ?? ''
}

/** What libraries say when the process, not the picture, is in trouble. */
const EXHAUSTED = /out of memory|cannot allocate|error creating thread|resource temporarily unavailable|bad_alloc/i

/** What sharp says when libvips failed and gave no reason. It gives one for every damaged picture, but may have no memory to write it down. */
const NO_REASON = /^unknown error$/i

/**
 * The error for a picture that could not be decoded: its own fault, or that of a process without memory.
 * @param place where it is @param remedy what to do about a bad picture
 */
export function decodingError(error: unknown, place: string, remedy: string): TrainError {
  const reason = decodingReason(error)
  if (NO_REASON.test(reason))
    return new TrainError(
      'MEMORY',
      `${place} could not be decoded, and the decoder found no fault in it: this process seems to be out of memory; ` +
        'use fewer workers here, or a smaller batch.micro; if it happens again with the same picture, replace that',
    )
  if (!EXHAUSTED.test(reason)) return new TrainError('DATA_CORRUPT', `${place} cannot be decoded (${reason}): ${remedy}`)
  return new TrainError('MEMORY', `out of memory while decoding ${place} (${reason}): use fewer workers here, or a smaller batch.micro`)
}

/** EXIF rotation applied, transparency over white, any colour space to sRGB (embedded profiles are followed), 16 bits to 8, first frame. */
function upright(encoded: Buffer): Sharp {
  return sharp(encoded, READING).autoOrient().flatten({ background: '#ffffff' }).toColourspace('srgb')
}

/**
 * Decodes a picture of any supported format.
 * @param shortSide the shorter side is brought to this many pixels (Lanczos-3 down, bicubic up), the longer one in proportion;
 *   null: as it is. A picture that has that size already is not resampled
 * @throws Error of sharp when it cannot be decoded
 */
export async function decodePicture(encoded: Buffer, shortSide: number | null): Promise<Picture> {
  const pipeline = upright(encoded)
  if (shortSide !== null) pipeline.resize({ width: shortSide, height: shortSide, fit: 'outside', kernel: 'lanczos3' })
  const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  if (channels !== 3 || data.length !== width * height * 3) throw new Error(`decoded to ${String(channels)} channels instead of 3`)
  return { pixels: data, height, width }
}

const EXTENSIONS: Readonly<Record<string, string>> = { jpeg: 'jpg', tiff: 'tif', heif: 'avif' }

/** Format by content, as the extension webdataset tools decode by, and the shorter side in pixels. */
export async function describePicture(encoded: Buffer): Promise<{ extension: string; shortSide: number }> {
  const { format, width, height } = await sharp(encoded, READING).metadata()
  return { extension: EXTENSIONS[format] ?? format, shortSide: Math.min(width, height) }
}

/** The picture as a JPEG of quality 95 with its shorter side brought to `shortSide` pixels, upright and over white. */
export async function reencodePicture(encoded: Buffer, shortSide: number): Promise<Buffer> {
  return upright(encoded)
    .resize({ width: shortSide, height: shortSide, fit: 'outside', kernel: 'lanczos3' })
    .jpeg({ quality: 95 })
    .toBuffer()
}
