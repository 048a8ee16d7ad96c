import { Metadata } from '@grpc/grpc-js'
import type { IncomingHttpHeaders } from 'node:http2'

/** Key under which a contribution stream names the member it comes from. */
const WORKER = 'lockstep-worker'

/** What a worker sends with a contribution stream. @param worker identity of its membership */
export function memberMetadata(worker: string): Metadata {
  const metadata = new Metadata()
  metadata.set(WORKER, worker)
  return metadata
}

/** The same for a call of bulk/. */
export function memberHeaders(worker: string): Record<string, string> {
  return { [WORKER]: worker }
}

/** The member that a contribution stream says it comes from; empty if it does not say. */
export function memberOf(headers: IncomingHttpHeaders): string {
  return String(headers[WORKER] ?? '')
}
