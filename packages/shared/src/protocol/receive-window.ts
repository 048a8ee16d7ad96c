import { EventEmitter } from 'node:events'
import type { ServerHttp2Session } from 'node:http2'
import type { Server } from '@grpc/grpc-js'
import { invariant } from '../errors/train-error.js'

/**
 * Bytes that a peer may send before we have read them, a stream and a connection. Enough for 16 MiB a round trip (at 20 ms, 800 MB/s);
 * a stream that is not read holds no more than this of our memory.
 */
export const RECEIVE_WINDOW_BYTES = 16 * 1024 * 1024

/**
 * Makes a bound server announce this window on every connection to come. grpc-js 1.14 takes 'grpc-node.flow_control_window' on clients
 * only, and a server's HTTP/2 sessions would receive with 64 KiB (grpc-node, pull request 3058). They can be reached by a private field alone.
 */
export function widenReceiveWindow(server: Server, bytes: number): void {
  const listening: unknown = (server as unknown as { readonly http2Servers?: unknown }).http2Servers
  invariant(listening instanceof Map && listening.size > 0, 'a bound server of this grpc-js keeps its HTTP/2 servers in http2Servers')
  for (const http2Server of (listening as ReadonlyMap<unknown, unknown>).keys()) {
    invariant(http2Server instanceof EventEmitter, 'the keys of http2Servers of this grpc-js are HTTP/2 servers')
    http2Server.on('session', (session: ServerHttp2Session) => {
      session.setLocalWindowSize(bytes)
      session.settings({ initialWindowSize: bytes })
    })
  }
}
