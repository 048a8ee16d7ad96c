import type { BulkCall, BulkConnection } from '@lockstep/shared/bulk/bulk-connection.js'
import { bulkConnection } from '@lockstep/shared/protocol/endpoints.js'
import { contributeMethod, weightsMethod } from '@lockstep/shared/protocol/grpc-definitions.js'
import { memberHeaders } from '@lockstep/shared/protocol/member-metadata.js'
import type { Acknowledgement__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Acknowledgement.js'
import type { Contribution } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { Outcome__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Outcome.js'
import type { WeightsChunk__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsChunk.js'
import type { WeightsRequest } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsRequest.js'
import type { SharedBody } from '@lockstep/shared/protocol/generated/lockstep/v1/SharedBody.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { CHUNK_FLOATS } from '@lockstep/shared/parameters/layout.js'
import { backOffMs, type BackOffLimits } from '../membership/back-off.js'
import { ContributionBook, type BookEntry } from './contribution-book.js'
import { UploadRing } from './upload-ring.js'

/** Bytes sent and not acknowledged, a slice. Enough for a fast network's round trip, small beside everything else. */
const FLIGHT_BYTES = 16 * 1024 * 1024
/** A slice that cannot be reached for this long makes the worker leave: others can do its work. */
const RECONNECT: BackOffLimits = { firstMs: 50, mostMs: 1000, limitMs: 10_000 }
/** Below this a message costs less than the calls that spare its body. */
const SHARED_FROM_BYTES = 32 * 1024
/** The step has not begun at the slice: ask again soon. */
const EARLY_RETRY_MS = 50

/** A chunk of a node to be sent; `body` stays untouched until the outcome is known. */
export interface OutgoingChunk extends BookEntry {
  /** Everything but the body. */
  readonly contribution: Contribution
  readonly body: Uint8Array
  /** Where the body lies, if it may be read there until the step is over. */
  readonly lent?: SharedBody | undefined
  readonly settle: (outcome: Outcome__Output) => void
  readonly fail: (error: Error) => void
}

/**
 * One long-lived stream of contributions to one averager slice. Bytes in flight are bounded; a broken stream is opened
 * again and what was not acknowledged is sent again, which is harmless since contributions are idempotent.
 */
export class SliceLink {
  private readonly gradients: BulkConnection
  /**
   * A connection of its own. Node's HTTP/2 reads no data while it waits to write, so on one connection two sides that both
   * have more to say than the sockets between them hold would wait for each other for ever.
   */
  private readonly weightsConnection: BulkConnection
  /** Bytes acknowledged since the link was made. */
  bytesAcknowledged = 0
  /** The slice sees the same memory: it showed that by handing out weights through it. */
  sharesMemory = false
  private ring: UploadRing | undefined
  private readonly book = new ContributionBook<OutgoingChunk>(FLIGHT_BYTES)
  private stream: BulkCall<Acknowledgement__Output, Contribution> | undefined
  private mustDrain = false
  private closed = false
  private failures = 0
  private awaySinceMs = 0
  private timer: NodeJS.Timeout | undefined

  constructor(
    private readonly address: string,
    private readonly index: number,
    private readonly limits: BackOffLimits = RECONNECT,
    /** Identity of the membership. */
    private readonly worker = '',
  ) {
    this.gradients = bulkConnection(address)
    this.weightsConnection = bulkConnection(address)
  }

  /** Asks for a version's chunks. */
  weights(request: WeightsRequest): BulkCall<WeightsChunk__Output, WeightsRequest> {
    const call = this.weightsConnection.call(weightsMethod)
    call.write(request)
    call.end()
    return call
  }

  /** Queues a chunk; its outcome comes by `settle`, a slice that cannot be reached by `fail`. */
  send(chunk: OutgoingChunk): void {
    if (this.closed) chunk.fail(this.closedError())
    else {
      this.book.add(chunk)
      this.pump()
    }
  }

  /** Forgets what waits to be sent; what is in flight is still acknowledged. Their outcome is told as PAST_STEP. */
  dropWaiting(): void {
    for (const chunk of this.book.clearWaiting()) chunk.settle('PAST_STEP')
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    clearTimeout(this.timer)
    this.stream?.cancel()
    this.leaveRing()
    for (const chunk of this.book.clear()) chunk.fail(this.closedError())
    this.gradients.close()
    this.weightsConnection.close()
  }

  private closedError(): TrainError {
    return new TrainError('INTERRUPTED', 'the exchange with the averager was closed')
  }

  private pump(): void {
    if (this.closed || this.timer !== undefined || this.book.isEmpty) return
    const stream = (this.stream ??= this.open())
    while (!this.mustDrain) {
      const chunk = this.book.take()
      if (chunk === undefined) return
      const { message, body } = this.outgoing(chunk)
      this.mustDrain = !stream.write(message, body)
    }
  }

  /** The message as it travels: with its body, or with the place where that lies. */
  private outgoing({ contribution, body, lent }: OutgoingChunk): { message: Contribution; body?: Uint8Array } {
    if (!this.sharesMemory || body.length < SHARED_FROM_BYTES) return { message: contribution, body }
    if (lent !== undefined) return { message: { ...contribution, shared: lent } }
    this.ring ??= UploadRing.create(FLIGHT_BYTES, CHUNK_FLOATS * 4)
    const shared = this.ring?.place(body)
    return shared === undefined ? { message: contribution, body } : { message: { ...contribution, shared } }
  }

  private leaveRing(): void {
    this.ring?.close()
    this.ring = undefined
  }

  private open(): BulkCall<Acknowledgement__Output, Contribution> {
    const stream = this.gradients.call(contributeMethod, memberHeaders(this.worker))
    const live = (): boolean => this.stream === stream && !this.closed
    stream.on('data', (acknowledgement) => {
      if (live()) this.acknowledged(acknowledgement)
    })
    stream.on('drain', () => {
      if (!live()) return
      this.mustDrain = false
      this.pump()
    })
    stream.on('error', ({ details }) => {
      if (live()) this.broken(details)
    })
    stream.on('end', () => {
      if (live()) this.broken('the averager ended the stream')
    })
    this.mustDrain = false
    return stream
  }

  private acknowledged(acknowledgement: Acknowledgement__Output): void {
    this.failures = 0
    let chunk: OutgoingChunk
    try {
      chunk = this.book.acknowledge(acknowledgement)
    } catch (error) {
      this.failAll(error instanceof Error ? error : new Error(String(error)))
      return
    }
    this.bytesAcknowledged += chunk.bytes
    if (acknowledgement.outcome === 'FUTURE_STEP') {
      setTimeout(() => {
        this.send(chunk)
      }, EARLY_RETRY_MS)
    } else chunk.settle(acknowledgement.outcome)
    this.pump()
  }

  private broken(reason: string): void {
    this.stream?.cancel()
    this.stream = undefined
    // the slice may still read what the broken stream brought: nothing is written there any more
    this.leaveRing()
    this.book.recall()
    if (this.failures++ === 0) this.awaySinceMs = performance.now()
    const awayMs = performance.now() - this.awaySinceMs
    const waitMs = backOffMs(this.limits, this.failures, awayMs)
    if (waitMs === undefined) {
      this.failAll(
        new TrainError(
          'NETWORK',
          `averager slice ${String(this.index)} at ${this.address} cannot be reached for ${String(Math.round(awayMs / 1000))} s (${reason}); check that this machine may connect to that port`,
        ),
      )
      return
    }
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.pump()
    }, waitMs)
  }

  private failAll(error: Error): void {
    for (const chunk of this.book.clear()) chunk.fail(error)
  }
}
