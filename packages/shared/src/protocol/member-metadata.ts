import { Metadata } from '@grpc/grpc-js'

/** Key under which a contribution stream names the member it comes from. */
const WORKER = 'lockstep-worker'

/** What a worker sends with a contribution stream. @param worker identity of its membership */
export function memberMetadata(worker: string): Metadata {
  const metadata = new Metadata()
  metadata.set(WORKER, worker)
  return metadata
}

/** The member that a contribution stream says it comes from; empty if it does not say. */
export function memberOf(metadata: Metadata): string {
  return String(metadata.get(WORKER)[0] ?? '')
}
