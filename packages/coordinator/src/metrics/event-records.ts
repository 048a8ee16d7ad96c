import { crc32c } from '@node-rs/crc32'
import protobuf from 'protobufjs'

/**
 * TensorBoard's file format: TensorFlow's record framing (tensorflow/core/lib/io/record_writer.h) around Event messages
 * (tensorboard/compat/proto/event.proto), of which these fields are all that scalars need.
 */
const types = protobuf.Root.fromJSON({
  nested: {
    Value: { fields: { tag: { type: 'string', id: 1 }, simpleValue: { type: 'float', id: 2 } } },
    Summary: { fields: { value: { rule: 'repeated', type: 'Value', id: 1 } } },
    SessionLog: { fields: { status: { type: 'int32', id: 1 } } },
    Event: {
      oneofs: { what: { oneof: ['fileVersion', 'summary', 'sessionLog'] } },
      fields: {
        wallTime: { type: 'double', id: 1 },
        step: { type: 'int64', id: 2 },
        fileVersion: { type: 'string', id: 3 },
        summary: { type: 'Summary', id: 5 },
        sessionLog: { type: 'SessionLog', id: 7 },
      },
    },
  },
})
const Event = types.lookupType('Event')

const HEADER_BYTES = 12 // length (8) and its checksum (4)
const FOOTER_BYTES = 4 // checksum of the message
const SESSION_START = 1

/** One event of a TensorBoard file. `wallTime` in seconds since 1970. */
export interface TensorBoardEvent {
  readonly wallTime: number
  readonly step: number
  readonly fileVersion?: string
  readonly scalars?: Readonly<Record<string, number>>
  /** A reader forgets what it has of this step and later ones: the run was resumed here. */
  readonly startsAgain?: boolean
}

/** An event as a framed record. */
export function encodeEvent({ wallTime, step, fileVersion, scalars, startsAgain }: TensorBoardEvent): Buffer {
  const message: Record<string, unknown> = { wallTime, step }
  if (fileVersion !== undefined) message.fileVersion = fileVersion
  if (scalars !== undefined) message.summary = { value: Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue })) }
  if (startsAgain === true) message.sessionLog = { status: SESSION_START }
  const body = Event.encode(Event.create(message)).finish()
  const record = Buffer.alloc(HEADER_BYTES + body.length + FOOTER_BYTES)
  record.writeBigUInt64LE(BigInt(body.length), 0)
  record.writeUInt32LE(maskedChecksum(record.subarray(0, 8)), 8)
  record.set(body, HEADER_BYTES)
  record.writeUInt32LE(maskedChecksum(body), HEADER_BYTES + body.length)
  return record
}

/** The whole records at the beginning of a file: stops at the first that is torn or damaged. */
export function* decodeEvents(file: Uint8Array): Generator<{ end: number; event: TensorBoardEvent }> {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  let at = 0
  while (at + HEADER_BYTES <= bytes.length) {
    if (bytes.readUInt32LE(at + 8) !== maskedChecksum(bytes.subarray(at, at + 8))) return
    const length = Number(bytes.readBigUInt64LE(at))
    const end = at + HEADER_BYTES + length + FOOTER_BYTES
    if (end > bytes.length) return
    const body = bytes.subarray(at + HEADER_BYTES, end - FOOTER_BYTES)
    if (bytes.readUInt32LE(end - FOOTER_BYTES) !== maskedChecksum(body)) return
    yield { end, event: decodeBody(body) }
    at = end
  }
}

function decodeBody(body: Uint8Array): TensorBoardEvent {
  const plain = Event.toObject(Event.decode(body), { longs: Number, defaults: false }) as {
    wallTime?: number
    step?: number
    fileVersion?: string
    summary?: { value?: { tag: string; simpleValue: number }[] }
    sessionLog?: { status?: number }
  }
  return {
    wallTime: plain.wallTime ?? 0,
    step: plain.step ?? 0,
    ...(plain.fileVersion === undefined ? {} : { fileVersion: plain.fileVersion }),
    ...(plain.summary === undefined
      ? {}
      : { scalars: Object.fromEntries((plain.summary.value ?? []).map(({ tag, simpleValue }) => [tag, simpleValue])) }),
    ...(plain.sessionLog?.status === SESSION_START ? { startsAgain: true } : {}),
  }
}

/** CRC-32C, rotated and offset as TensorFlow does, so that a checksum of data that holds checksums stays strong. */
function maskedChecksum(bytes: Uint8Array): number {
  const checksum = crc32c(bytes)
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0
}
