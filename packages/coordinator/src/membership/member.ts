import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { CoordinatorMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { Heartbeat__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Heartbeat.js'
import type { WorkerMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'

export type MemberStream = ServerDuplexStream<WorkerMessage__Output, CoordinatorMessage>

/** One membership: a stream, and what the worker said of itself. */
export class Member {
  readonly worker: string
  readonly stream: MemberStream
  name = ''
  host = ''
  pid = 0
  environment = ''
  state: 'new' | 'probing' | 'admitted' | 'gone' = 'new'
  #counters = ''

  constructor(worker: string, stream: MemberStream) {
    this.worker = worker
    this.stream = stream
  }

  /** What stays the same when the worker joins again: host and process id. */
  get process(): string {
    return `${this.host}/${String(this.pid)}`
  }

  send(message: CoordinatorMessage): void {
    if (this.state !== 'gone' && this.stream.writable) this.stream.write(message)
  }

  /** Takes a heartbeat. @returns whether any of the counters of work moved since the last one */
  progressed(beat: Heartbeat__Output): boolean {
    const counters = [beat.leavesFinished, beat.bytesAcknowledged, beat.evaluationBatchesFinished, beat.bytesReceived].join(' ')
    const moved = counters !== this.#counters
    this.#counters = counters
    return moved
  }
}
