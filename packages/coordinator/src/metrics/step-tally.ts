import type { StepBytes, StepTimes } from './metrics-lines.js'

/** What a worker tells of a span. Seconds and bytes. */
export interface SpanShare {
  readonly loadSeconds: number
  readonly weightsSeconds: number
  readonly computeSeconds: number
  readonly sendSeconds: number
  readonly bytesSent: number
  readonly bytesReceived: number
}

const NOTHING: SpanShare = { loadSeconds: 0, weightsSeconds: 0, computeSeconds: 0, sendSeconds: 0, bytesSent: 0, bytesReceived: 0 }

/** Adds up where the time between two steps' lines went. Pure. */
export class StepTally {
  #sum = NOTHING
  #reduceSeconds = 0

  add(span: SpanShare): void {
    const sum = this.#sum
    this.#sum = {
      loadSeconds: sum.loadSeconds + span.loadSeconds,
      weightsSeconds: sum.weightsSeconds + span.weightsSeconds,
      computeSeconds: sum.computeSeconds + span.computeSeconds,
      sendSeconds: sum.sendSeconds + span.sendSeconds,
      bytesSent: sum.bytesSent + span.bytesSent,
      bytesReceived: sum.bytesReceived + span.bytesReceived,
    }
  }

  /**
   * What was added since it was asked last.
   * @param reduceSeconds what the averager's slices have worked since they started
   */
  take(reduceSeconds: number): { readonly times: StepTimes; readonly bytes: StepBytes } {
    const { loadSeconds, weightsSeconds, computeSeconds, sendSeconds, bytesSent, bytesReceived } = this.#sum
    const reduce = reduceSeconds - this.#reduceSeconds
    this.#sum = NOTHING
    this.#reduceSeconds = reduceSeconds
    return {
      times: { input: loadSeconds, compute: computeSeconds, send: sendSeconds, receive: weightsSeconds, reduce },
      bytes: { sent: bytesSent, received: bytesReceived },
    }
  }
}
