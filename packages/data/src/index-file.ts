import { crc32 } from '@node-rs/crc32'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/**
 * The index beside a shard (`shard-000000.idx`), and that of a plain folder. All numbers little-endian:
 *
 *   0  magic "LSIX"      4  version u32 = 1     8  kind u32 (0 shard, 1 plain folder)   12  bytes a record u32 = 32
 *  16  records u32      20  first sample u32   24  bytes of the shard u64               32  bytes of the names u32
 *  36  CRC-32 of all that follows the header u32, then zeros up to 64
 *  64  records: offset u64, length u32, class u32, CRC-32 u32, name offset u32, name length u32, zero u32
 *  then the names, UTF-8: paths relative to the folder that was packed
 */
const MAGIC = 'LSIX'
const VERSION = 1
const HEADER_BYTES = 64
const RECORD_BYTES = 32
const KINDS = ['shard', 'folder'] as const
export type IndexKind = (typeof KINDS)[number]

export interface IndexRecord {
  /** Where the encoded picture begins in its file. */
  readonly offset: number
  /** Bytes of the encoded picture. */
  readonly length: number
  readonly label: number
  readonly crc: number
  readonly name: string
}

export function encodeIndex(kind: IndexKind, firstSample: number, dataBytes: number, records: readonly IndexRecord[]): Buffer {
  const names = records.map((record) => Buffer.from(record.name, 'utf8'))
  const namesBytes = names.reduce((sum, name) => sum + name.length, 0)
  const bytes = Buffer.alloc(HEADER_BYTES + records.length * RECORD_BYTES + namesBytes)
  let nameOffset = 0
  const namesAt = HEADER_BYTES + records.length * RECORD_BYTES
  for (const [i, record] of records.entries()) {
    const at = HEADER_BYTES + i * RECORD_BYTES
    const name = names[i] ?? Buffer.alloc(0)
    bytes.writeBigUInt64LE(BigInt(record.offset), at)
    bytes.writeUInt32LE(record.length, at + 8)
    bytes.writeUInt32LE(record.label, at + 12)
    bytes.writeUInt32LE(record.crc, at + 16)
    bytes.writeUInt32LE(nameOffset, at + 20)
    bytes.writeUInt32LE(name.length, at + 24)
    name.copy(bytes, namesAt + nameOffset)
    nameOffset += name.length
  }
  bytes.write(MAGIC, 0, 'latin1')
  bytes.writeUInt32LE(VERSION, 4)
  bytes.writeUInt32LE(KINDS.indexOf(kind), 8)
  bytes.writeUInt32LE(RECORD_BYTES, 12)
  bytes.writeUInt32LE(records.length, 16)
  bytes.writeUInt32LE(firstSample, 20)
  bytes.writeBigUInt64LE(BigInt(dataBytes), 24)
  bytes.writeUInt32LE(namesBytes, 32)
  bytes.writeUInt32LE(crc32(bytes.subarray(HEADER_BYTES)), 36)
  return bytes
}

/** A decoded index. Records stay in their bytes and are read when asked for: 32 bytes a sample, whatever their number. */
export class IndexFile {
  readonly kind: IndexKind
  readonly size: number
  readonly firstSample: number
  /** Bytes the shard must have. */
  readonly dataBytes: number
  private readonly namesAt: number

  /** @throws TrainError DATA_CORRUPT naming `file` when the bytes are not a whole index of this version */
  constructor(
    private readonly bytes: Buffer,
    file: string,
  ) {
    const remedy = `copy it again, or pack the folder again with \`lockstep pack\``
    if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 4) !== MAGIC) {
      throw new TrainError('DATA_CORRUPT', `${file} is not an index of Lockstep: ${remedy}`)
    }
    if (bytes.readUInt32LE(4) !== VERSION) {
      throw new TrainError(
        'DATA_CORRUPT',
        `${file} is an index of version ${String(bytes.readUInt32LE(4))}, this is for version ${String(VERSION)}: pack the folder again`,
      )
    }
    this.size = bytes.readUInt32LE(16)
    this.firstSample = bytes.readUInt32LE(20)
    this.dataBytes = Number(bytes.readBigUInt64LE(24))
    this.namesAt = HEADER_BYTES + this.size * RECORD_BYTES
    const kind = KINDS[bytes.readUInt32LE(8)]
    const whole = bytes.readUInt32LE(12) === RECORD_BYTES && bytes.length === this.namesAt + bytes.readUInt32LE(32)
    if (kind === undefined || !whole || crc32(bytes.subarray(HEADER_BYTES)) !== bytes.readUInt32LE(36)) {
      throw new TrainError('DATA_CORRUPT', `${file} was cut short or changed: ${remedy}`)
    }
    this.kind = kind
  }

  offset(record: number): number {
    return Number(this.bytes.readBigUInt64LE(HEADER_BYTES + record * RECORD_BYTES))
  }

  length(record: number): number {
    return this.bytes.readUInt32LE(HEADER_BYTES + record * RECORD_BYTES + 8)
  }

  label(record: number): number {
    return this.bytes.readUInt32LE(HEADER_BYTES + record * RECORD_BYTES + 12)
  }

  crc(record: number): number {
    return this.bytes.readUInt32LE(HEADER_BYTES + record * RECORD_BYTES + 16)
  }

  /** Path of the picture, relative to the folder that was packed. */
  name(record: number): string {
    const at = HEADER_BYTES + record * RECORD_BYTES
    const start = this.namesAt + this.bytes.readUInt32LE(at + 20)
    return this.bytes.toString('utf8', start, start + this.bytes.readUInt32LE(at + 24))
  }
}
