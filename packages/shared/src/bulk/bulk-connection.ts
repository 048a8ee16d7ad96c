import { status } from '@grpc/grpc-js'
import { getProxiedConnection, mapProxyName } from '@grpc/grpc-js/build/src/http_proxy.js'
import { once } from 'node:events'
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectSocket, type Socket } from 'node:net'
import { RECEIVE_WINDOW_BYTES } from '../protocol/receive-window.js'
import { BufferPool } from './buffer-pool.js'
import { BulkStream } from './bulk-stream.js'
import type { BulkMethod } from './message-codec.js'
import { collectLessOften } from './rare-collections.js'
import { keepAlive } from './session-keeping.js'
import { decodeStatusMessage } from './status-message.js'

/** A host that says nothing at all for this long is not there. */
const CONNECT_WITHIN_MS = 5000

/** A client's end of a call. Its first message may be written at once. */
export class BulkCall<In extends object, Out extends object> extends BulkStream<In, Out> {
  #status: { readonly code: number; readonly details: string } | undefined

  constructor(method: BulkMethod<Out, object, never, In>, pool: BufferPool) {
    super(method.request, method.response, pool)
  }

  /** The connection is there, and with it the call's stream. */
  begin(stream: ClientHttp2Stream): void {
    if (this.over) {
      stream.on('error', () => undefined)
      stream.close(constants.NGHTTP2_CANCEL)
      return
    }
    let broken = 'the connection broke'
    stream.on('response', (headers) => {
      if (headers[':status'] === 200) this.#read(headers)
      else this.#status = { code: status.UNAVAILABLE, details: `HTTP status ${String(headers[':status'])} instead of an answer of gRPC` }
    })
    stream.on('trailers', (headers: IncomingHttpHeaders) => {
      this.#read(headers)
    })
    stream.on('error', (error: Error) => {
      broken += `: ${error.cause instanceof Error ? error.cause.message : error.message}`
    })
    const ended = (): void => {
      const { code, details } = this.#status ?? { code: status.UNAVAILABLE, details: broken }
      if (code !== (status.OK as number)) this.broke(code, details)
      else if (this.isWithinMessage) this.broke(status.INTERNAL, 'the answer ended within a message')
      else this.#finish(() => this.emit('end'))
    }
    // the server has said everything, trailers too, though it might still be written to
    stream.on('end', () => setImmediate(ended))
    stream.on('close', ended)
    this.attach(stream)
  }

  #read(headers: IncomingHttpHeaders): void {
    const code = headers['grpc-status']
    if (code !== undefined) this.#status = { code: Number(code), details: decodeStatusMessage(String(headers['grpc-message'] ?? '')) }
  }

  /** There is no connection, or not any more. */
  broke(code: number, details: string): void {
    this.#finish(() => this.emit('error', { code, details }))
  }

  #finish(tell: () => void): void {
    if (this.over) return
    this.over = true
    // a server may have said its last word before we have
    if (this.stream?.destroyed === false) this.stream.close(constants.NGHTTP2_CANCEL)
    tell()
    this.emit('close')
  }

  /** Nothing more will be written. */
  end(): void {
    this.withStream((stream) => stream.end())
  }

  /** Breaks the call off; nothing is told any more. */
  cancel(): void {
    this.over = true
    if (this.stream?.destroyed === false) this.stream.close(constants.NGHTTP2_CANCEL)
  }

  protected unreadable(why: string): void {
    this.broke(status.INTERNAL, why)
    this.cancel()
  }
}

/** A client of one server, with one connection at a time: opened when it is needed, opened again when it broke and a call is made. */
export class BulkConnection {
  readonly #address: string
  readonly #useProxy: boolean
  readonly #pool = new BufferPool()
  /** That by which calls are made. */
  #session: Promise<ClientHttp2Session> | undefined
  /** All that are open: a server that has said goodbye may still answer older calls. */
  readonly #sessions = new Set<ClientHttp2Session>()
  #closed = false

  /** @param address HOST:PORT @param useProxy whether `grpc_proxy` leads there, unless `no_grpc_proxy` says otherwise */
  constructor(address: string, useProxy: boolean) {
    collectLessOften()
    this.#address = address
    this.#useProxy = useProxy
  }

  /** Makes a call, with a connection as soon as there is one. @param headers what it comes with */
  call<Request extends object, Response extends object>(
    method: BulkMethod<Request, object, never, Response>,
    headers: Readonly<Record<string, string>> = {},
  ): BulkCall<Response, Request> {
    const call = new BulkCall(method, this.#pool)
    const begin = async (): Promise<void> => {
      const session = await this.#connected()
      call.begin(
        session.request(
          { ...headers, ':method': 'POST', ':path': method.path, 'content-type': 'application/grpc+proto', te: 'trailers' },
          { endStream: false },
        ),
      )
    }
    begin().catch((error: unknown) => {
      call.broke(status.UNAVAILABLE, reasonOf(error))
    })
    return call
  }

  async #connected(): Promise<ClientHttp2Session> {
    if (this.#session !== undefined) return await this.#session
    const opening = this.#open(() => {
      if (this.#session === opening) this.#session = undefined
    })
    this.#session = opening
    return await opening
  }

  /** @param over called when no call may be made by it any more, also if it never comes to be */
  async #open(over: () => void): Promise<ClientHttp2Session> {
    try {
      return await this.#openSession(over)
    } catch (error) {
      over()
      throw error
    }
  }

  async #openSession(over: () => void): Promise<ClientHttp2Session> {
    const socket = await openSocket(this.#address, this.#useProxy)
    const session = connect(`http://${this.#address}`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: RECEIVE_WINDOW_BYTES },
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    })
    // streams tell of it
    session.on('error', () => undefined)
    this.#sessions.add(session)
    session.once('goaway', over)
    session.once('close', () => {
      this.#sessions.delete(session)
      over()
    })
    await once(session, 'connect')
    if (this.#closed) {
      session.destroy()
      throw new Error('the connection was closed')
    }
    session.setLocalWindowSize(RECEIVE_WINDOW_BYTES)
    keepAlive(session)
    return session
  }

  /** Breaks everything off. */
  close(): void {
    this.#closed = true
    this.#session = undefined
    for (const session of this.#sessions) session.destroy()
  }
}

/** In words; a host with several addresses has an error for each. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/** A socket that is connected: by the proxy that grpc-js itself would take for its own connections, or directly. @throws Error saying why not */
async function openSocket(address: string, useProxy: boolean): Promise<Socket> {
  const { target, extraOptions } = mapProxyName({ scheme: 'dns', path: address }, { 'grpc.enable_http_proxy': useProxy ? 1 : 0 })
  const { hostname, port } = new URL(`http://${target.path}`)
  const host = hostname.replace(/^\[|\]$/g, '')
  const place = { host, port: Number(port === '' ? 80 : port) }
  const proxied = await getProxiedConnection(place, extraOptions).catch(() => {
    throw new Error(`the proxy at ${target.path} does not lead to ${address}`)
  })
  if (proxied !== null) return proxied
  const socket = connectSocket(place)
  socket.setTimeout(CONNECT_WITHIN_MS, () => {
    socket.destroy(new Error(`${address} does not answer`))
  })
  await once(socket, 'connect')
  socket.setTimeout(0)
  return socket
}
