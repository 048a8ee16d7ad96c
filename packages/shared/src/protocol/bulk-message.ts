import type { MethodDefinition } from '@grpc/proto-loader'
import { invariant } from '../errors/train-error.js'
import { copyBytes } from '../shared-memory/native-memory.js'

/** How messages of one kind are encoded, and where their body goes. */
export interface BulkEncoder<Message extends object> {
  /**
   * A message with a body, in bytes already: the body is copied once, from wherever it lies, and may change afterwards. Protobuf alone
   * would copy it twice if it lies in shared memory, and leave twice the garbage.
   * @param message everything but the body
   */
  withBody(message: Message, body: Uint8Array): Message
}

/** What messages that {@link BulkEncoder.withBody} made are as bytes. */
const encoded = new WeakMap<object, Buffer>()

const LENGTH_DELIMITED = 2 // https://protobuf.dev/programming-guides/encoding/#structure

/**
 * Makes one side of a method send messages of {@link BulkEncoder.withBody} as they are. What arrives is ordinary protobuf: fields may come in any
 * order, and the body comes last.
 */
export function bulkEncoder<Message extends object>(
  method: MethodDefinition<object, object> | undefined,
  side: 'request' | 'response',
): BulkEncoder<Message> {
  invariant(method !== undefined, 'the service has the method')
  const serialize = side === 'request' ? method.requestSerialize : method.responseSerialize
  const { type } = (side === 'request' ? method.requestType : method.responseType) as {
    type: { field: { name: string; number: number }[] }
  }
  const number = type.field.find(({ name }) => name === 'body')?.number
  invariant(number !== undefined, `messages of ${method.path} have a body`)
  const withEncoded = (message: object): Buffer => encoded.get(message) ?? serialize(message)
  if (side === 'request') method.requestSerialize = withEncoded
  else method.responseSerialize = withEncoded
  const tag = varint(number * 8 + LENGTH_DELIMITED)
  return {
    withBody: (message, body) => {
      const rest = serialize(message)
      const head = [...tag, ...varint(body.length)]
      const bytes = Buffer.allocUnsafeSlow(rest.length + head.length + body.length)
      bytes.set(rest)
      bytes.set(head, rest.length)
      copyBytes(bytes.subarray(rest.length + head.length), body)
      const whole = { ...message }
      encoded.set(whole, bytes)
      return whole
    },
  }
}

/** Seven bits a byte, the low ones first, the highest bit set on all but the last. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
}
