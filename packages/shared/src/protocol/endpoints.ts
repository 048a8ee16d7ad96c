import { ChannelCredentials, Server, ServerCredentials, logVerbosity, setLogVerbosity, type ChannelOptions } from '@grpc/grpc-js'
import { TrainError } from '../errors/train-error.js'
import { BulkConnection } from '../bulk/bulk-connection.js'
import { BulkServer } from '../bulk/bulk-server.js'
import { MESSAGE_LIMIT_BYTES } from '../bulk/message-reader.js'
import { RECEIVE_WINDOW_BYTES, widenReceiveWindow } from './receive-window.js'

/**
 * Every gRPC endpoint, server or client, is made here: the one place for message limits, windows and, one day, TLS.
 */

// what the library would print to the terminal reaches people as our own errors, with a remedy
setLogVerbosity(logVerbosity.NONE)

/** A shell's http_proxy is for the web and knows nothing of this machine's loopback; grpc_proxy, said on purpose, counts. */
const USE_PROXY = (process.env.grpc_proxy ?? '') !== ''

const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_LIMIT_BYTES,
  'grpc.max_send_message_length': MESSAGE_LIMIT_BYTES,
  // of clients; what servers receive with is set in `bind`
  'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  // every client gets a connection of its own; none is shared behind our back
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': USE_PROXY ? 1 : 0,
}

/** Credentials and options of every client. */
export function clientEndpoint(): { credentials: ChannelCredentials; options: ChannelOptions } {
  return { credentials: ChannelCredentials.createInsecure(), options: channelOptions }
}

/** A server with the project's options, services to be added by the caller. */
export function createServer(): Server {
  return new Server(channelOptions)
}

/** A server of methods whose messages are large, methods to be added by the caller. */
export function createBulkServer(): BulkServer {
  return new BulkServer()
}

/** A client of methods whose messages are large; it connects when it is first called. @param address HOST:PORT */
export function bulkConnection(address: string): BulkConnection {
  return new BulkConnection(address, USE_PROXY)
}

/** Whether an address is this machine's own loopback. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/**
 * Binds a server, once, and gives its connections their receive window. Without TLS only loopback is allowed unless `insecureNetwork` was said.
 * @returns the port, chosen by the system if 0 was asked for
 * @throws TrainError NETWORK (not loopback), PORT_TAKEN
 */
export async function bind(server: Server, host: string, port: number, insecureNetwork: boolean): Promise<number> {
  refuseNetwork(host, insecureNetwork)
  const address = addressOf(host, port)
  return await new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      try {
        if (error !== null) throw portTaken(address, error)
        // here, and not after an `await`: no connection can have come yet
        widenReceiveWindow(server, RECEIVE_WINDOW_BYTES)
        resolve(bound)
      } catch (reason) {
        reject(reason instanceof Error ? reason : new Error(String(reason)))
      }
    })
  })
}

/** Binds a server of bulk methods, once; the rest is as with {@link bind}. @throws TrainError NETWORK (not loopback), PORT_TAKEN */
export async function bindBulk(server: BulkServer, host: string, port: number, insecureNetwork: boolean): Promise<number> {
  refuseNetwork(host, insecureNetwork)
  try {
    return await server.listen(host, port)
  } catch (error) {
    throw portTaken(addressOf(host, port), error instanceof Error ? error : new Error(String(error)))
  }
}

function refuseNetwork(host: string, insecureNetwork: boolean): void {
  if (insecureNetwork || isLoopback(host)) return
  throw new TrainError(
    'NETWORK',
    `refusing to listen on ${host}: there is no encryption yet; say --insecure-network if every machine that can reach it is yours`,
  )
}

function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${String(port)}` : `${host}:${String(port)}`
}

function portTaken(address: string, cause: Error): TrainError {
  return new TrainError(
    'PORT_TAKEN',
    `cannot listen on ${address}: the port is taken or not allowed; choose another with --listen HOST:PORT, port 0 for any free one`,
    { cause },
  )
}
