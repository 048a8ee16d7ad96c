import { SliceLink, type OutgoingChunk } from '@lockstep/worker/exchange/slice-link.js'

/**
 * Loaded into a worker process before its own program (`node --import`), this makes one worker of a test lie: what it
 * sends of one node at one step has one bit flipped, as bad memory would flip it. The product knows nothing of it.
 * LOCKSTEP_TEST_LIAR=NAME:STEP:LEAF:LEAVES says who lies, and where.
 */
const [name = '', step = '', first = '', leaves = ''] = (process.env.LOCKSTEP_TEST_LIAR ?? '').split(':')

type Send = (this: SliceLink, chunk: OutgoingChunk) => void

if (process.argv[process.argv.indexOf('--name') + 1] === name) {
  const honest = Reflect.get<SliceLink, 'send'>(SliceLink.prototype, 'send')
  const lie: Send = function (chunk) {
    const isTheNode = chunk.step === Number(step) && chunk.firstLeaf === Number(first) && chunk.leafCount === Number(leaves)
    const isTheOne = isTheNode && chunk.chunk === 0
    // what is lent is read where it lies, and would be the truth
    const spoiled = { ...chunk, lent: undefined, body: flipped(chunk.body) }
    honest.call(this, isTheOne ? spoiled : chunk)
  }
  Reflect.set(SliceLink.prototype, 'send', lie)
}

/** The lowest bit of the first number's exponent: half or twice as much, which no addition rounds away. */
function flipped(body: OutgoingChunk['body']): Buffer {
  const bytes = Buffer.from(body)
  bytes[2] = (bytes[2] ?? 0) ^ 0x80
  return bytes
}
