import { workerData } from 'node:worker_threads'
import type { BulkAnswer } from '@lockstep/shared/bulk/bulk-server.js'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'
import { MemoryReader } from '@lockstep/shared/shared-memory/memory-file.js'
import { bindBulk, createBulkServer } from '@lockstep/shared/protocol/endpoints.js'
import { contributeMethod, weightsMethod } from '@lockstep/shared/protocol/grpc-definitions.js'
import { memberOf } from '@lockstep/shared/protocol/member-metadata.js'
import type { Acknowledgement } from '@lockstep/shared/protocol/generated/lockstep/v1/Acknowledgement.js'
import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import { answerRequests } from './answering-port.js'
import { OUTCOMES } from './contribution-check.js'
import { LentNodes } from './lent-nodes.js'
import { SliceState } from './slice-state.js'
import type { SliceNews, SliceReady, SliceRequest, SliceThreadData } from './thread-messages.js'
import { WeightsStreams } from './weights-streams.js'

/** Spans kept of one step. */
const SPANS_A_STEP = 4000

/** The thread of one slice: its memory, its gRPC server, its share of every step. */

const { options, host, insecureNetwork, counters, busy, traced } = workerData as SliceThreadData
const CHUNK_BYTES = CHUNK_FLOATS * Float32Array.BYTES_PER_ELEMENT
const outcomeCounts = new Int32Array(counters)
const busyMicros = new BigUint64Array(busy)
const tell: (event: SliceNews) => void = answerRequests((request) => handle(request as SliceRequest))
const server = createBulkServer()
let attempt = 0
/** What this thread does when; told at every commit. */
const spans = new SpanRecorder(SPANS_A_STEP)
const track = `slice ${String(options.slice.index)}`
let started: { state: SliceState; streams: WeightsStreams; lent: LentNodes } | undefined

async function start(): Promise<SliceReady> {
  const arena = Arena.create()
  spans.record(traced)
  const state = new SliceState(
    options,
    arena,
    {
      covered: ({ first, count }) => {
        tell({ type: 'covered', attempt, first, count })
      },
      chunkUpdated: () => {
        streams.pump()
      },
      gathered: (sums) => {
        tell({ type: 'gathered', attempt, sums })
      },
      reduced: (finite, statistics) => {
        tell({ type: 'reduced', attempt, finite, statistics })
      },
      copied: (copy) => {
        tell({ type: 'copied', attempt, copy })
      },
    },
    spans,
  )
  const streams = new WeightsStreams(state, options, spans, track)
  const lent = new LentNodes(arena, options.slice)
  started = { state, streams, lent }
  server.handle(contributeMethod, (call) => {
    serveContributions(call, state, lent, arena)
  })
  server.handle(weightsMethod, (call) => {
    call.once('data', (request) => {
      streams.open(call, request)
    })
  })
  const port = await bindBulk(server, host, 0, insecureNetwork)
  return { port, memory: arena.memory, buffers: state.buffers }
}

function serveContributions(
  call: BulkAnswer<Contribution__Output, Acknowledgement>,
  state: SliceState,
  lent: LentNodes,
  arena: Arena,
): void {
  const worker = memberOf(call.headers)
  const reader = new MemoryReader()
  call.on('data', (message, lease) => {
    const startUs = spans.now()
    const { contribution, outcome } = timed(() => {
      const lentAt = lentPlace(message, lent, call)
      const contribution =
        lentAt === undefined
          ? withBody(message, reader)
          : { ...message, body: Buffer.from(arena.memory.buffer, lentAt, message.shared?.bytes) }
      // a body may wait for its sibling's
      const release = contribution.body === message.body ? lease.keep() : undefined
      const outcome = state.contribute(contribution, worker, lentAt, release)
      if (outcome !== 'ACCEPTED') release?.()
      return { contribution, outcome }
    })
    spans.add({ track, kind: 'receive', name: `chunk ${String(message.chunk)} from ${worker}`, step: message.step }, startUs)
    Atomics.add(outcomeCounts, OUTCOMES.indexOf(outcome), 1)
    const { step, firstLeaf, leafCount, chunk } = contribution
    const more = call.write({ step, firstLeaf, leafCount, chunk, outcome })
    // a worker that does not read its acknowledgements sends no more
    if (!more) {
      call.pause()
      call.once('drain', () => {
        call.resume()
      })
    }
  })
  call.on('end', () => {
    call.end()
  })
  // a stream may have broken: what was taken counts, the rest is sent again by someone
  call.on('close', () => {
    lent.ended(call)
    reader.close()
  })
}

/** Does a part of the slice's work, and adds what it took to the slices' time. */
function timed<Value>(work: () => Value): Value {
  const startMs = performance.now()
  const value = work()
  Atomics.add(busyMicros, 0, BigInt(Math.round((performance.now() - startMs) * 1000)))
  return value
}

/** Where a body that is lent lies in the arena; undefined where it is not, or has to be copied. */
function lentPlace({ shared }: Contribution__Output, lent: LentNodes, owner: object): number | undefined {
  return shared?.lent === true && shared.bytes <= CHUNK_BYTES ? lent.locate(shared, owner) : undefined
}

/** A body that lies in shared memory is copied out before it is acknowledged: after that its owner may write there again. */
function withBody(contribution: Contribution__Output, reader: MemoryReader): Contribution__Output {
  const { shared } = contribution
  if (shared === null || shared.bytes > CHUNK_BYTES) return contribution
  const body = Buffer.allocUnsafeSlow(shared.bytes)
  return reader.read(shared, body) ? { ...contribution, body } : contribution
}

async function handle(request: SliceRequest): Promise<unknown> {
  if (request.type === 'start') return await start()
  if (started === undefined) throw new Error('the slice has not started')
  const { state, streams, lent } = started
  switch (request.type) {
    case 'open':
      state.open(request.version)
      break
    case 'beginStep':
      attempt = request.attempt
      state.beginStep(request.step, request.rate, request.audits)
      break
    case 'update':
      timed(() => {
        state.update(request.factor)
      })
      break
    case 'commit':
    case 'skip':
      if (request.type === 'commit') state.commit(request.version)
      else {
        state.skip(request.version)
        streams.forgetWritten()
      }
      lent.sweep()
      streams.abort(
        (version) => version < request.version,
        `weights version ${String(request.version)} was committed meanwhile; ask for that one`,
      )
      if (spans.isOn) tell({ type: 'spans', spans: spans.take() })
      break
    case 'drop':
      streams.abort(
        (version) => version === request.version,
        `the provisional weights version ${String(request.version)} was dropped; forget what came of it`,
      )
      state.drop(request.version)
      lent.sweep()
      streams.forgetWritten()
      break
    case 'pin':
      state.pin(request.side)
      break
    case 'unpin':
      state.unpin(request.side)
      break
  }
  streams.pump()
  return undefined
}
