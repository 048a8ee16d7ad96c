import { TrainError } from '../errors/train-error.js'

/**
 * The safetensors format: eight bytes with the length of a JSON header, the header padded with spaces to a multiple of
 * eight, then the tensors, little-endian, one after the other without holes. Pure: bytes in, bytes out.
 */

/** A tensor in a file. */
export interface TensorInfo {
  readonly dtype: string
  readonly shape: readonly number[]
  /** First byte, from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

export interface Header {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
}

/** The bytes before the header: its length, unsigned 64-bit little-endian. */
export const LENGTH_BYTES = 8
/** The limit of the reference implementation; more is a broken or hostile file. */
const HEADER_LIMIT_BYTES = 100_000_000

const DTYPE_BYTES: Readonly<Record<string, number>> = {
  ...{ BOOL: 1, U8: 1, I8: 1, F8_E5M2: 1, F8_E4M3: 1, U16: 2, I16: 2, F16: 2, BF16: 2 },
  ...{ U32: 4, I32: 4, F32: 4, U64: 8, I64: 8, F64: 8 },
}

/**
 * The length prefix and header of a file of float32 tensors in this order.
 * @param metadata values are strings: the format allows no others
 */
export function encodeHeader(
  tensors: readonly { name: string; shape: readonly number[] }[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const entries: [string, unknown][] = [['__metadata__', metadata]]
  let at = 0
  for (const { name, shape } of tensors) {
    const end = at + shape.reduce((product, length) => product * length, 1) * Float32Array.BYTES_PER_ELEMENT
    entries.push([name, { dtype: 'F32', shape, data_offsets: [at, end] }])
    at = end
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Math.ceil(json.length / 8) * 8
  const header = Buffer.alloc(LENGTH_BYTES + length, ' ')
  header.writeBigUInt64LE(BigInt(length))
  json.copy(header, LENGTH_BYTES)
  return header
}

function invalid(file: string, what: string): TrainError {
  return new TrainError(
    'CHECKPOINT_INVALID',
    `${file} is not a whole safetensors file: ${what}; use another checkpoint or copy the file again`,
  )
}

/** The length of the header, from the first eight bytes of a file. @throws TrainError CHECKPOINT_INVALID */
export function decodeHeaderLength(prefix: Buffer, file: string, fileBytes: number): number {
  if (prefix.length < LENGTH_BYTES) throw invalid(file, `it has only ${String(prefix.length)} bytes`)
  const length = prefix.readBigUInt64LE()
  if (length > BigInt(HEADER_LIMIT_BYTES)) throw invalid(file, 'its first eight bytes are not the length of a header')
  if (LENGTH_BYTES + Number(length) > fileBytes) throw invalid(file, `it ends after ${String(fileBytes)} bytes, inside its header`)
  return Number(length)
}

/**
 * Reads a header strictly: every tensor's size is that of its shape, and the tensors fill the file without holes or overlaps.
 * @param json the header without its length prefix
 * @throws TrainError CHECKPOINT_INVALID naming the file and, where it is one, the tensor
 */
export function decodeHeader(json: Buffer, file: string, fileBytes: number): Header {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch {
    throw invalid(file, 'its header is not JSON')
  }
  if (!isRecord(header)) throw invalid(file, 'its header is not a JSON object')
  const { __metadata__: metadata = {}, ...entries } = header
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    throw invalid(file, 'its metadata are not strings')
  const start = LENGTH_BYTES + json.length
  const tensors = Object.entries(entries).map(([name, entry]) => [name, decodeTensor(name, entry, start, file)] as const)
  tensors.sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes)
  let at = start
  for (const [name, tensor] of tensors) {
    if (tensor.offset !== at) throw invalid(file, `tensor ${name} ${tensor.offset < at ? 'overlaps another' : 'stands after a hole'}`)
    at += tensor.bytes
  }
  if (at !== fileBytes) throw invalid(file, `it has ${String(fileBytes)} bytes where its header promises ${String(at)}`)
  return { tensors: new Map(tensors), metadata: metadata as Record<string, string> }
}

function decodeTensor(name: string, entry: unknown, start: number, file: string): TensorInfo {
  if (!isRecord(entry)) throw invalid(file, `tensor ${name} has no description`)
  const { dtype, shape, data_offsets: offsets } = entry
  const elementBytes = typeof dtype === 'string' ? DTYPE_BYTES[dtype] : undefined
  if (typeof dtype !== 'string' || elementBytes === undefined) throw invalid(file, `tensor ${name} is of unknown type ${String(dtype)}`)
  if (!isCounts(shape)) throw invalid(file, `tensor ${name} has no proper shape`)
  if (!isCounts(offsets) || offsets.length !== 2) throw invalid(file, `tensor ${name} has no proper data_offsets`)
  const [from = 0, to = 0] = offsets
  const bytes = shape.reduce((product, length) => product * length, elementBytes)
  if (to - from !== bytes)
    throw invalid(file, `tensor ${name} of shape ${shape.join('×')} has ${String(to - from)} bytes instead of ${String(bytes)}`)
  return { dtype, shape, offset: start + from, bytes }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= 0)
}
