import { status } from '@grpc/grpc-js'
import type { BulkAnswer } from '@lockstep/shared/bulk/bulk-server.js'
import type { WeightsChunk } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsChunk.js'
import type { WeightsRequest__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsRequest.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import { SharedWeights } from './shared-weights.js'
import type { SliceState } from './slice-state.js'

type WeightsCall = BulkAnswer<WeightsRequest__Output, WeightsChunk>

interface WeightsStream {
  readonly call: WeightsCall
  readonly version: number
  /** The worker sees the same memory. */
  readonly shared: boolean
  next: number
  /** Chunks given to gRPC that it has not sent yet. */
  inFlight: number
}

/** Enough to keep the connection busy while the next chunk is serialized; gRPC holds no more of a slow reader's chunks. */
const CHUNKS_IN_FLIGHT = 2

/**
 * Hands out weights, chunk by chunk in order: the committed version at once, the provisional one as it comes, the one
 * after that when its step runs.
 */
export class WeightsStreams {
  readonly #state: SliceState
  readonly #identity: { readonly run: string; readonly term: number }
  readonly #streams = new Set<WeightsStream>()
  readonly #shared: SharedWeights
  readonly #spans: SpanRecorder
  readonly #track: string

  constructor(state: SliceState, identity: { readonly run: string; readonly term: number }, spans = new SpanRecorder(0), track = '') {
    this.#spans = spans
    this.#track = track
    this.#state = state
    this.#identity = identity
    this.#shared = new SharedWeights(state.chunks, (version) => state.file(version))
  }

  /** Serves one call, or ends it with FAILED_PRECONDITION. */
  open(call: WeightsCall, { run, term, version, proofPath, proofInode, proof }: WeightsRequest__Output): void {
    const refusal = this.#refusalOf(run, term, version)
    if (refusal !== undefined) {
      call.fail(status.FAILED_PRECONDITION, refusal)
      return
    }
    const stream: WeightsStream = { call, version, shared: this.#shared.proves(proofPath, proofInode, proof), next: 0, inFlight: 0 }
    this.#streams.add(stream)
    call.on('close', () => this.#streams.delete(stream))
    this.#pump(stream)
  }

  #refusalOf(run: string, term: number, version: number): string | undefined {
    const committed = this.#state.committed
    if (run !== this.#identity.run) return `this averager serves run ${this.#identity.run}, not ${run}; join again`
    if (term !== this.#identity.term) return `this averager serves term ${String(this.#identity.term)}, not ${String(term)}; join again`
    if (version < committed)
      return `weights version ${String(version)} is gone: version ${String(committed)} is committed; ask for that one or a later one`
    if (version > committed + 2)
      return `weights version ${String(version)} is too far ahead: version ${String(committed)} is committed; ask again later`
    return undefined
  }

  /** Sends what can be sent now. */
  pump(): void {
    for (const stream of this.#streams) this.#pump(stream)
  }

  #pump(stream: WeightsStream): void {
    const { call, version } = stream
    while (stream.inFlight < CHUNKS_IN_FLIGHT && stream.next < this.#state.chunks && this.#state.has(version, stream.next)) {
      if (!this.#streams.has(stream)) return
      const chunk = stream.next++
      stream.inFlight++
      const startUs = this.#spans.now()
      const weights = this.#state.weights(version, chunk)
      const shared = stream.shared ? this.#shared.body(version, chunk, weights) : undefined
      call.write(shared === undefined ? { chunk } : { chunk, shared }, shared === undefined ? weights : undefined, () => {
        stream.inFlight--
        this.#pump(stream)
      })
      this.#spans.add({ track: this.#track, kind: 'send', name: `hand out chunk ${String(chunk)}`, step: version }, startUs)
    }
    if (stream.next === this.#state.chunks && stream.inFlight === 0 && this.#streams.delete(stream)) call.end()
  }

  /** A version was dropped, or left out: nothing written for it in shared memory is right. */
  forgetWritten(): void {
    this.#shared.forget()
  }

  /** Ends the streams of versions that `gone` names with ABORTED: their buffers will be written to. */
  abort(gone: (version: number) => boolean, why: string): void {
    for (const stream of this.#streams) {
      if (!gone(stream.version)) continue
      this.#streams.delete(stream)
      stream.call.fail(status.ABORTED, why)
    }
  }
}
