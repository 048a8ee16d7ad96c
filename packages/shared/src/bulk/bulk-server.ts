import { status } from '@grpc/grpc-js'
import { createServer, type Http2Server, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { RECEIVE_WINDOW_BYTES } from '../protocol/receive-window.js'
import { BufferPool } from './buffer-pool.js'
import { BulkStream } from './bulk-stream.js'
import type { BulkMethod } from './message-codec.js'
import { collectLessOften } from './rare-collections.js'
import { keepAlive } from './session-keeping.js'
import { encodeStatusMessage } from './status-message.js'

const CONTENT_TYPE = 'application/grpc+proto'

/** A server's end of a call. */
export class BulkAnswer<In extends object, Out extends object> extends BulkStream<In, Out> {
  #status = { code: status.OK as number, details: '' }

  constructor(
    stream: ServerHttp2Stream,
    /** What the call came with. */
    readonly headers: IncomingHttpHeaders,
    method: BulkMethod<never, In, Out, object>,
    pool: BufferPool,
  ) {
    super(method.response, method.request, pool)
    stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE }, { waitForTrailers: true })
    stream.on('wantTrailers', () => {
      const { code, details } = this.#status
      if (!stream.destroyed) stream.sendTrailers({ 'grpc-status': String(code), 'grpc-message': encodeStatusMessage(details) })
    })
    stream.on('end', () => {
      if (!this.over) this.emit('end')
    })
    // a client that has gone: `close` says so
    stream.on('error', () => undefined)
    stream.on('close', () => {
      this.over = true
      this.emit('close')
    })
    this.attach(stream)
  }

  /** Ends the call well. */
  end(): void {
    this.withStream((stream) => stream.end())
  }

  /** Ends the call with an error; what was written before is sent first. */
  fail(code: status, details: string): void {
    this.#status = { code, details }
    this.end()
  }

  protected unreadable(why: string): void {
    this.over = true
    this.fail(status.INTERNAL, why)
  }
}

type Accept = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** A gRPC server of methods whose messages are large. To be bound by `bindBulk` of protocol/endpoints.ts. */
export class BulkServer {
  readonly #server: Http2Server
  readonly #methods = new Map<string, Accept>()
  readonly #sessions = new Set<Http2Session>()
  readonly #pool = new BufferPool()

  constructor() {
    collectLessOften()
    this.#server = createServer({
      settings: { initialWindowSize: RECEIVE_WINDOW_BYTES },
      // what may wait is bounded by windows; Node would break a session off at 10 MB
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    })
    this.#server.on('session', (session) => {
      session.setLocalWindowSize(RECEIVE_WINDOW_BYTES)
      keepAlive(session)
      this.#sessions.add(session)
      session.once('close', () => this.#sessions.delete(session))
    })
    this.#server.on('stream', (stream, headers) => {
      const path = headers[':path'] ?? ''
      const accept = this.#methods.get(path)
      if (headers['content-type']?.startsWith('application/grpc') !== true) stream.respond({ ':status': 415 }, { endStream: true })
      else if (accept === undefined) refuse(stream, `there is no method ${path} here`)
      else accept(stream, headers)
    })
  }

  /** @param serve is given every call of the method */
  handle<Request extends object, Response extends object>(
    method: BulkMethod<never, Request, Response, object>,
    serve: (call: BulkAnswer<Request, Response>) => void,
  ): void {
    this.#methods.set(method.path, (stream, headers) => {
      serve(new BulkAnswer(stream, headers, method, this.#pool))
    })
  }

  /** @returns the port. @throws the system's error, if it may not be listened on */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    return (this.#server.address() as AddressInfo).port
  }

  /** Breaks everything off. */
  close(): void {
    this.#server.close()
    for (const session of this.#sessions) session.destroy()
  }
}

function refuse(stream: ServerHttp2Stream, details: string): void {
  stream.on('error', () => undefined)
  stream.respond(
    {
      ...{ ':status': 200, 'content-type': CONTENT_TYPE },
      ...{ 'grpc-status': String(status.UNIMPLEMENTED), 'grpc-message': encodeStatusMessage(details) },
    },
    { endStream: true },
  )
}
