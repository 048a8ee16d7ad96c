import { workerData } from 'node:worker_threads'
import { digestState, writeCheckpoint, type StateBytes } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { parameterFloats } from '@lockstep/shared/parameters/layout.js'
import { answerRequests } from './answering-port.js'
import { wholeRanges } from './whole-ranges.js'
import type { StateRequest, StateThreadData } from './thread-messages.js'

/** The thread that hashes a version and writes checkpoints, straight from the slices' memories, while training goes on. */

const { slices, layout, frozen } = workerData as StateThreadData

answerRequests((message) => {
  const request = message as StateRequest
  const state: StateBytes = {
    weights: frozen === undefined ? rangesOf('weights', request.side) : wholeRanges(frozen, layout, rangesOf('weights', request.side)),
    velocity: rangesOf('velocity', request.side),
    suffix: request.suffix,
  }
  if (request.type === 'digest') return digestState(state)
  return writeCheckpoint(request.path, frozen?.whole ?? layout, request.metadata, state)
})

/** Of the velocity only the parameters' part: batch statistics, at the end of the vector, have none. */
function rangesOf(kind: 'weights' | 'velocity', side: 0 | 1): Uint8Array[] {
  let left = kind === 'weights' ? layout.size : parameterFloats(layout)
  return slices.map(({ memory, buffers, size }) => {
    const floats = Math.min(size, left)
    left -= floats
    return Buffer.from(memory.buffer, buffers[kind][side], floats * Float32Array.BYTES_PER_ELEMENT)
  })
}
