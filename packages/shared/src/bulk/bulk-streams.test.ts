import { Server, ServerCredentials, status, type ServerDuplexStream, type ServerWritableStream, type ServiceError } from '@grpc/grpc-js'
import { once } from 'node:events'
import { connect as connectSession, createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Session } from 'node:http2'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { bindBulk, bulkConnection, clientEndpoint } from '../protocol/endpoints.js'
import type { Acknowledgement, Acknowledgement__Output } from '../protocol/generated/lockstep/v1/Acknowledgement.js'
import type { Contribution__Output } from '../protocol/generated/lockstep/v1/Contribution.js'
import type { WeightsChunk, WeightsChunk__Output } from '../protocol/generated/lockstep/v1/WeightsChunk.js'
import type { WeightsRequest__Output } from '../protocol/generated/lockstep/v1/WeightsRequest.js'
import { contributeMethod, services, weightsMethod } from '../protocol/grpc-definitions.js'
import { memberHeaders, memberMetadata, memberOf } from '../protocol/member-metadata.js'
import { BufferPool } from './buffer-pool.js'
import { BulkCall, BulkConnection } from './bulk-connection.js'
import { BulkServer, type BulkAnswer } from './bulk-server.js'
import type { StreamError } from './bulk-stream.js'

/** Both ends of bulk streams, with each other and with grpc-js's own: what travels is gRPC. */

const HOST = '127.0.0.1'
const BODY = Buffer.from(Float32Array.from({ length: 300_000 }, (_, index) => index * 0.5).buffer)
const REASON = 'die Gewichte sind fort: 100 % davon für %41'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close()
})

type Contributing = BulkAnswer<Contribution__Output, Acknowledgement> | ServerDuplexStream<Contribution__Output, Acknowledgement>

/** Answers every contribution with its chunk, as step the bytes of its body if they are BODY's. */
function acknowledge(call: Contributing): void {
  // the two kinds of stream have these in common
  const stream = call as ServerDuplexStream<Contribution__Output, Acknowledgement>
  stream.on('data', ({ chunk, body }: Contribution__Output) => {
    stream.write({ chunk, step: body.equals(BODY) ? BODY.length : 0, outcome: 'ACCEPTED' })
  })
  stream.on('end', () => stream.end())
}

async function ourServer(weights?: (call: BulkAnswer<WeightsRequest__Output, WeightsChunk>) => void): Promise<string> {
  const server = new BulkServer()
  closers.push(() => {
    server.close()
  })
  server.handle(contributeMethod, acknowledge)
  server.handle(
    weightsMethod,
    weights ??
      ((call) => {
        call.on('data', ({ version }) => {
          if (version === 13) call.fail(status.ABORTED, REASON)
          else {
            for (let chunk = 0; chunk < version; chunk++) call.write({ chunk }, BODY)
            call.end()
          }
        })
      }),
  )
  return `${HOST}:${String(await bindBulk(server, HOST, 0, false))}`
}

async function stockServer(): Promise<string> {
  const server = new Server()
  server.addService(services.Averager.service, {
    Contribute: acknowledge,
    Weights: (call: ServerWritableStream<WeightsRequest__Output, WeightsChunk>) => {
      if (call.request.version === 13) call.emit('error', { code: status.ABORTED, details: REASON })
      else {
        for (let chunk = 0; chunk < call.request.version; chunk++) call.write({ chunk, body: BODY })
        call.end()
      }
    },
  })
  closers.push(() => {
    server.forceShutdown()
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${HOST}:0`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return `${HOST}:${String(port)}`
}

/** Accepts connections, and neither reads nor writes. */
async function deaf(): Promise<string> {
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined)
    closers.push(() => socket.destroy())
  }).listen(0, HOST)
  await once(server, 'listening')
  closers.push(() => server.close())
  return `${HOST}:${String((server.address() as AddressInfo).port)}`
}

function connected(address: string): BulkConnection {
  const connection = bulkConnection(address)
  closers.push(() => {
    connection.close()
  })
  return connection
}

type AnyCall<In> = {
  on(event: 'data', listener: (message: In) => void): unknown
  on(event: 'error', listener: (error: StreamError) => void): unknown
  on(event: 'end', listener: () => void): unknown
}

/** Everything that a call tells, until its end. */
async function toldBy<In extends object>(
  call: AnyCall<In>,
  of: (message: In) => unknown,
): Promise<{ messages: unknown[]; error?: StreamError }> {
  const messages: unknown[] = []
  return await new Promise((resolve) => {
    call.on('data', (message) => messages.push(of(message)))
    call.on('error', ({ code, details }) => {
      resolve({ messages, error: { code, details } })
    })
    call.on('end', () => {
      resolve({ messages })
    })
  })
}

const contribution = (chunk: number) => ({ run: 'r', term: 1, step: 2, firstLeaf: 0, leafCount: 1, chunk })
const ofChunk = ({ chunk, body }: WeightsChunk__Output): unknown => [chunk, body.equals(BODY)]
const CHUNKS = [0, 1, 2, 3, 4]

function asked(connection: BulkConnection, version: number): BulkCall<WeightsChunk__Output, object> {
  const call = connection.call(weightsMethod)
  call.write({ version })
  call.end()
  return call
}

describe.each([
  ['our server', ourServer],
  ["grpc-js's server", stockServer],
])('our client and %s', (_, server) => {
  it('exchange messages with bodies, both ways, until both have no more to say', async () => {
    const call = connected(await server()).call(contributeMethod, memberHeaders('w'))
    const told = toldBy<Acknowledgement__Output>(call, ({ chunk, step }) => [chunk, step])
    for (const chunk of CHUNKS) call.write(contribution(chunk), BODY)
    call.end()
    expect(await told).toEqual({ messages: CHUNKS.map((chunk) => [chunk, BODY.length]) })
  })

  it('stream answers to one request, several calls at once', async () => {
    const connection = connected(await server())
    const all = await Promise.all([5, 0, 2].map(async (version) => await toldBy(asked(connection, version), ofChunk)))
    expect(all.map(({ messages }) => messages)).toEqual([5, 0, 2].map((version) => CHUNKS.slice(0, version).map((chunk) => [chunk, true])))
  })

  it('tell why a call fails, in whatever language', async () => {
    expect(await toldBy(asked(connected(await server()), 13), ofChunk)).toEqual({
      messages: [],
      error: { code: status.ABORTED, details: REASON },
    })
  })
})

describe("grpc-js's client and our server", () => {
  async function client(address: string) {
    const { credentials, options } = clientEndpoint()
    const stock = new services.Averager(address, credentials, options)
    closers.push(() => {
      stock.close()
    })
    return Promise.resolve(stock)
  }

  it('exchange messages with bodies, both ways', async () => {
    const stock = await client(await ourServer())
    const call = stock.Contribute(memberMetadata('w'))
    const told = toldBy<Acknowledgement__Output>(call, ({ chunk, step }) => [chunk, step])
    for (const chunk of CHUNKS) call.write({ ...contribution(chunk), body: BODY })
    call.end()
    expect(await told).toEqual({ messages: CHUNKS.map((chunk) => [chunk, BODY.length]) })
    const weights = await toldBy<WeightsChunk__Output>(stock.Weights({ version: 3 }), ofChunk)
    expect(weights).toEqual({ messages: CHUNKS.slice(0, 3).map((chunk) => [chunk, true]) })
    const failed = await toldBy<WeightsChunk__Output>(stock.Weights({ version: 13 }), ofChunk)
    expect(failed.error).toMatchObject({ code: status.ABORTED, details: REASON })
  })

  it('is told of a method that there is not', async () => {
    const address = await ourServer()
    const { credentials, options } = clientEndpoint()
    const other = new services.Coordinator(address, credentials, options)
    closers.push(() => {
      other.close()
    })
    const [error] = (await once(other.Join(), 'error').catch((error: unknown) => [error])) as [ServiceError]
    expect(error).toMatchObject({ code: status.UNIMPLEMENTED, details: 'there is no method /lockstep.v1.Coordinator/Join here' })
  })
})

describe('a server of ours', () => {
  it('knows who calls', async () => {
    const callers: string[] = []
    const address = await ourServer((call) => {
      callers.push(memberOf(call.headers))
      call.end()
    })
    const call = connected(address).call(weightsMethod, memberHeaders('worker-3'))
    call.write({ version: 1 })
    call.end()
    await toldBy(call, ofChunk)
    expect(callers).toEqual(['worker-3'])
  })

  it('hears of a client that has gone, whether it cancels or its connection breaks', async () => {
    const closes: string[] = []
    const address = await ourServer((call) => {
      call.once('data', ({ run }) => {
        call.write({ chunk: 0 })
        call.on('close', () => closes.push(run))
      })
    })
    for (const how of ['cancel', 'break'] as const) {
      const connection = connected(address)
      const call = connection.call(weightsMethod)
      call.on('error', () => undefined)
      call.write({ run: how })
      await once(call, 'data')
      if (how === 'cancel') call.cancel()
      else connection.close()
      await expect.poll(() => closes).toContain(how)
    }
  })

  it('refuses what is no gRPC, and a message that is none of ours, and lives on', async () => {
    const address = await ourServer()
    const session = connectSession(`http://${address}`)
    closers.push(() => {
      session.destroy()
    })
    const answerTo = async (type: string, bytes: Buffer): Promise<unknown[]> => {
      const stream = session.request({ ':method': 'POST', ':path': contributeMethod.path, 'content-type': type, te: 'trailers' })
      const trailers = new Promise((resolve) => {
        stream.on('trailers', (headers: IncomingHttpHeaders) => {
          resolve(headers['grpc-status'])
        })
        stream.on('close', () => {
          resolve(undefined)
        })
      })
      stream.on('error', () => undefined)
      stream.write(bytes)
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
      stream.resume()
      return [headers[':status'], await trailers]
    }
    expect(await answerTo('text/html', Buffer.alloc(1))).toEqual([415, undefined])
    expect(await answerTo('application/grpc', Buffer.from([1, 0, 0, 0, 1, 7]))).toEqual([200, String(status.INTERNAL)])
    expect(await answerTo('application/grpc', Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff]))).toEqual([200, String(status.INTERNAL)])
    expect((await toldBy(asked(connected(address), 1), ofChunk)).messages).toEqual([[0, true]])
  })
})

describe('a client of ours', () => {
  it('is told that nobody listens, and gets through by the next call when somebody does', async () => {
    const spare = createServer().listen(0, HOST)
    await once(spare, 'listening')
    const { port } = spare.address() as AddressInfo
    spare.close()
    await once(spare, 'close')
    const connection = connected(`${HOST}:${String(port)}`)
    const told = await toldBy(asked(connection, 1), ofChunk)
    expect(told.error).toEqual({ code: status.UNAVAILABLE, details: `connect ECONNREFUSED ${HOST}:${String(port)}` })
    // it may have several addresses, each with an error of its own
    const byName = await toldBy(asked(connected(`localhost:${String(port)}`), 1), ofChunk)
    expect(byName.error?.details).toMatch(/^connect ECONNREFUSED [^ ]+(; connect ECONNREFUSED [^ ]+)*$/)
    const server = new BulkServer()
    closers.push(() => {
      server.close()
    })
    server.handle(weightsMethod, (call) => {
      call.on('data', () => {
        call.end()
      })
    })
    await bindBulk(server, HOST, port, false)
    expect(await toldBy(asked(connection, 1), ofChunk)).toEqual({ messages: [] })
  })

  it('is told once that its connection broke, in the middle of a message, and makes another with the next call', async () => {
    const sockets: Socket[] = []
    const target = await ourServer()
    const between = createServer((near) => {
      const far = connect(Number(target.split(':')[1]), HOST)
      sockets.push(near, far)
      for (const socket of [near, far]) socket.on('error', () => undefined)
      near.pipe(far).pipe(near)
    }).listen(0, HOST)
    await once(between, 'listening')
    closers.push(() => {
      between.close()
      for (const socket of sockets) socket.destroy()
    })
    const connection = connected(`${HOST}:${String((between.address() as AddressInfo).port)}`)
    const call = asked(connection, 200)
    const errors: StreamError[] = []
    call.on('error', (error) => errors.push(error))
    const closed = new Promise<void>((resolve) => {
      call.on('close', () => {
        resolve()
      })
    })
    await once(call, 'data')
    for (const socket of sockets.splice(0)) socket.destroy()
    await closed
    expect(errors).toMatchObject([{ code: status.UNAVAILABLE, details: expect.stringMatching(/^the connection broke/) as string }])
    expect((await toldBy(asked(connection, 1), ofChunk)).messages).toEqual([[0, true]])
  })

  it('makes a new connection when the server says goodbye, and keeps that one when the old is closed', async () => {
    const sessions: ServerHttp2Session[] = []
    const server = createHttp2Server()
      .on('session', (session) => sessions.push(session))
      .on('stream', (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true })
        stream.resume()
      })
    server.listen(0, HOST)
    await once(server, 'listening')
    closers.push(() => {
      server.close()
      for (const session of sessions) session.destroy()
    })
    const connection = connected(`${HOST}:${String((server.address() as AddressInfo).port)}`)
    const call = async (): Promise<number> => {
      expect(await toldBy(asked(connection, 1), ofChunk)).toEqual({ messages: [] })
      return sessions.length
    }
    expect([await call(), await call()]).toEqual([1, 1])
    const [first] = sessions
    first?.goaway()
    await expect.poll(call).toBe(2)
    first?.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([await call(), await call()]).toEqual([2, 2])
  })

  it('hears nothing any more of a call that it cancelled', async () => {
    const connection = connected(await ourServer())
    const call = asked(connection, 100)
    const told: string[] = []
    await once(call, 'data')
    for (const event of ['data', 'end', 'error'] as const) call.on(event, () => told.push(event))
    call.cancel()
    // the same connection, so whatever was on its way has come before this is over
    await toldBy(asked(connection, 2), ofChunk)
    expect(told).toEqual([])
  })

  it('waits with writing while the other end does not read, and goes on when it does', async () => {
    let answer: BulkAnswer<Contribution__Output, Acknowledgement> | undefined
    let read = 0
    const server = new BulkServer()
    closers.push(() => {
      server.close()
    })
    server.handle(contributeMethod, (call) => {
      answer = call
      call.on('data', () => read++)
      call.pause()
    })
    const call = connected(`${HOST}:${String(await bindBulk(server, HOST, 0, false))}`).call(contributeMethod)
    call.on('error', () => undefined)
    let written = 0
    const writeAll = (): void => {
      while (written < 100) {
        written++
        if (!call.write(contribution(written), BODY)) return
      }
    }
    call.on('drain', writeAll)
    writeAll()
    let before = -1
    while (written !== before) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    expect(written).toBeGreaterThan(10)
    expect(written).toBeLessThan(40)
    answer?.resume()
    await expect.poll(() => [written, read], { timeout: 10_000 }).toEqual([100, 100])
  })

  it('does not use the buffers of a broken stream again: their bytes may still be on their way', async () => {
    const given: Buffer[] = []
    class WatchedPool extends BufferPool {
      override give(buffer: Buffer): void {
        given.push(buffer)
      }
    }
    const session = connectSession(`http://${await deaf()}`)
    session.on('error', () => undefined)
    await once(session, 'connect')
    const call = new BulkCall(contributeMethod, new WatchedPool())
    const broken = new Promise((resolve) => call.on('error', resolve))
    call.begin(session.request({ ':method': 'POST', ':path': contributeMethod.path }, { endStream: false }))
    for (let chunk = 0; chunk < 20; chunk++) call.write(contribution(chunk), BODY)
    session.destroy(new Error('out of patience'))
    expect(await broken).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('the connection broke') as string })
    // writes that wait are told of it after the stream is
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(given).toEqual([])
  })

  it('says that a proxy does not lead there', async () => {
    const proxy = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'))
    }).listen(0, HOST)
    await once(proxy, 'listening')
    closers.push(() => proxy.close())
    const place = `${HOST}:${String((proxy.address() as AddressInfo).port)}`
    process.env.grpc_proxy = `http://${place}`
    const connection = new BulkConnection('10.255.255.1:7', true)
    const told = toldBy(asked(connection, 1), ofChunk)
    delete process.env.grpc_proxy
    expect((await told).error).toEqual({ code: status.UNAVAILABLE, details: `the proxy at ${place} does not lead to 10.255.255.1:7` })
  })
})
