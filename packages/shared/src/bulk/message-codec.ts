import type { MethodDefinition } from '@grpc/proto-loader'
import { invariant } from '../errors/train-error.js'
import { copyBytes } from '../shared-memory/native-memory.js'
import type { BufferPool } from './buffer-pool.js'

/** Before every message: whether it is compressed (never) and how long it is. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export const PREFIX_BYTES = 5
const LENGTH_DELIMITED = 2 // https://protobuf.dev/programming-guides/encoding/#structure

/** A message as it travels, and the buffer it lies in. */
export interface Frame {
  readonly bytes: Buffer
  /** The whole buffer, if it is one of a pool. */
  readonly pooled: Buffer | undefined
}

/** How messages of one kind become bytes and come out of them. */
export interface MessageCodec<Message extends object, Output extends object> {
  /**
   * A message with gRPC's prefix.
   * @param body its field `body`, if it is not in the message: copied once, from wherever it lies. Protobuf alone would copy it twice if it
   * lies in shared memory, gRPC once more, each time into fresh memory.
   */
  frame(message: Message, body: Uint8Array | undefined, pool: BufferPool): Frame
  /** Fields of bytes are views of what is given. @throws Error if it is no such message */
  decode(bytes: Buffer): Output
}

/** One method of a service, as both its ends see it. */
export interface BulkMethod<Request extends object, RequestOutput extends object, Response extends object, ResponseOutput extends object> {
  /** What it is called on the wire. */
  readonly path: string
  readonly request: MessageCodec<Request, RequestOutput>
  readonly response: MessageCodec<Response, ResponseOutput>
}

/** A method that proto-loader read. */
export function bulkMethod<Request extends object, Response extends object, RequestOutput extends object, ResponseOutput extends object>(
  method: MethodDefinition<Request, Response, RequestOutput, ResponseOutput>,
): BulkMethod<Request, RequestOutput, Response, ResponseOutput> {
  const { requestSerialize, requestDeserialize, requestType, responseSerialize, responseDeserialize, responseType } = method
  return {
    path: method.path,
    request: codec(requestSerialize, requestDeserialize, requestType),
    response: codec(responseSerialize, responseDeserialize, responseType),
  }
}

function codec<Message extends object, Output extends object>(
  serialize: (message: Message) => Buffer,
  decode: (bytes: Buffer) => Output,
  { type }: { readonly type: object },
): MessageCodec<Message, Output> {
  const number = (type as { field: { name: string; number: number }[] }).field.find(({ name }) => name === 'body')?.number
  return {
    decode,
    frame: (message, body, pool) => {
      const rest = serialize(message)
      if (body === undefined) return prefixed(Buffer.allocUnsafe(PREFIX_BYTES + rest.length), rest)
      invariant(number !== undefined, 'a message that is given a body has such a field')
      // fields may come in any order: the body comes last
      const head = Buffer.from([...varint(number * 8 + LENGTH_DELIMITED), ...varint(body.length)])
      const length = rest.length + head.length + body.length
      const pooled = pool.take(PREFIX_BYTES + length)
      const { bytes } = prefixed(pooled.subarray(0, PREFIX_BYTES + length), rest)
      head.copy(bytes, PREFIX_BYTES + rest.length)
      copyBytes(bytes.subarray(bytes.length - body.length), body)
      return { bytes, pooled }
    },
  }
}

function prefixed(bytes: Buffer, rest: Buffer): Frame {
  bytes.writeUInt8(0, 0)
  bytes.writeUInt32BE(bytes.length - PREFIX_BYTES, 1)
  rest.copy(bytes, PREFIX_BYTES)
  return { bytes, pooled: undefined }
}

/** Seven bits a byte, the low ones first, the highest bit set on all but the last. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
}
