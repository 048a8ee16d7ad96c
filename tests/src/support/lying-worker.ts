import { SliceLink, type OutgoingChunk } from '@lockstep/worker/exchange/slice-link.js'

/**
 * Loaded into a worker process before its own program (`node --import`), this makes one worker of a test lie: what it
 * sends of one leaf at one step has one bit flipped, as bad memory would flip it. The product knows nothing of it.
 * LOCKSTEP_TEST_LIAR=NAME:STEP:LEAF says who lies, and where.
 */
const [name = '', step = '', leaf = ''] = (process.env.LOCKSTEP_TEST_LIAR ?? '').split(':')

type Send = (this: SliceLink, chunk: OutgoingChunk) => void

if (process.argv[process.argv.indexOf('--name') + 1] === name) {
  const honest = Reflect.get<SliceLink, 'send'>(SliceLink.prototype, 'send') as Send
  const lie: Send = function (chunk) {
    const { contribution } = chunk
    const isTheOne = chunk.step === Number(step) && chunk.firstLeaf === Number(leaf) && chunk.leafCount === 1 && chunk.chunk === 0
    honest.call(this, isTheOne ? { ...chunk, contribution: { ...contribution, body: flipped(contribution.body) } } : chunk)
  }
  Reflect.set(SliceLink.prototype, 'send', lie)
}

/** The lowest bit of the first fraction: the least that can be wrong. */
function flipped(body: OutgoingChunk['contribution']['body']): Buffer {
  const bytes = Buffer.from(body as Uint8Array)
  bytes[0] = (bytes[0] ?? 0) ^ 1
  return bytes
}
