import { once } from 'node:events'
import { connect, createServer as createHttp2Server, type ClientHttp2Session, type Http2Session, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Server, type ServerDuplexStream } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import { BulkServer } from '../bulk/bulk-server.js'
import { bind, bindBulk, bulkConnection, clientEndpoint, createServer } from './endpoints.js'
import { contributeMethod, services, weightsMethod } from './grpc-definitions.js'
import { RECEIVE_WINDOW_BYTES, widenReceiveWindow } from './receive-window.js'

const MEBIBYTE = 1024 * 1024
const HOST = '127.0.0.1'
/** Round trips after which whatever was on its way when they began has come. */
const ROUND_TRIPS = 10

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close()
})

async function roundTrip(session: Http2Session): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    session.ping((error) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
}

/** What the other side of a session is ready to receive before it has read any of it, a stream and in all. */
async function windowsOfPeer(session: Http2Session): Promise<{ stream: number; connection: number }> {
  for (let trip = 0; trip < ROUND_TRIPS; trip++) await roundTrip(session)
  return { stream: session.remoteSettings.initialWindowSize ?? 0, connection: session.state.remoteWindowSize ?? 0 }
}

/** A server of grpc-js whose handler of contributions is called and reads nothing. */
async function serverThatDoesNotRead(): Promise<number> {
  const server = createServer()
  server.addService(services.Averager.service, {
    Contribute: (call: ServerDuplexStream<unknown, unknown>) => {
      call.on('error', () => undefined)
    },
    Weights: () => undefined,
  })
  closers.push(() => {
    server.forceShutdown()
  })
  return await bind(server, HOST, 0, false)
}

/** The same for messages that are large. */
async function bulkServerThatDoesNotRead(): Promise<number> {
  const server = new BulkServer()
  server.handle(contributeMethod, (call) => {
    call.pause()
  })
  closers.push(() => {
    server.close()
  })
  return await bindBulk(server, HOST, 0, false)
}

/** Makes a client connect. @returns what closes it */
const clients: Readonly<Record<string, (address: string) => () => void>> = {
  'grpc-js': (address) => {
    const { credentials, options } = clientEndpoint()
    const client = new services.Averager(address, credentials, options)
    client.waitForReady(Infinity, () => undefined)
    return () => {
      client.close()
    }
  },
  bulk: (address) => {
    const connection = bulkConnection(address)
    connection.call(weightsMethod).on('error', () => undefined)
    return () => {
      connection.close()
    }
  },
}

async function connected(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://${HOST}:${String(port)}`)
  closers.push(() => {
    session.destroy()
  })
  await once(session, 'connect')
  return session
}

/** Gives a stream of contributions far more than any window and waits until it takes no more. @returns bytes that went on their way */
async function bytesTaken(session: ClientHttp2Session): Promise<number> {
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/lockstep.v1.Averager/Contribute' },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
  })
  stream.on('error', () => undefined)
  // gRPC's five bytes before a message, and a message that the limit of messages allows
  const message = Buffer.alloc(5 + MEBIBYTE)
  message.writeUInt32BE(MEBIBYTE, 1)
  const pieceBytes = 64 * 1024
  let [taken, before] = [0, -1]
  // one after the other: pieces that wait together would be told of together
  const writeNext = (): void => {
    const from = taken % message.length
    const piece = message.subarray(from, from + pieceBytes)
    stream.write(piece, (error) => {
      if (error !== null && error !== undefined) return
      taken += piece.length
      if (taken < 4 * RECEIVE_WINDOW_BYTES) writeNext()
    })
  }
  writeNext()
  while (taken !== before) {
    before = taken
    for (let trip = 0; trip < ROUND_TRIPS; trip++) await roundTrip(session)
  }
  return taken
}

describe('receive window', () => {
  const servers = { 'grpc-js': serverThatDoesNotRead, bulk: bulkServerThatDoesNotRead }

  it.each(Object.entries(servers))('of a server (%s) is wide for every stream and for the connection', async (_, server) => {
    const session = await connected(await server())
    const { stream, connection } = await windowsOfPeer(session)
    expect(stream).toBeGreaterThanOrEqual(RECEIVE_WINDOW_BYTES)
    expect(connection).toBeGreaterThanOrEqual(RECEIVE_WINDOW_BYTES)
  })

  it.each(Object.entries(servers))(
    'of a server (%s) takes no more than about itself from a handler that does not read',
    async (_, server) => {
      const taken = await bytesTaken(await connected(await server()))
      expect(taken).toBeGreaterThan(RECEIVE_WINDOW_BYTES - MEBIBYTE)
      expect(taken).toBeLessThan(RECEIVE_WINDOW_BYTES + 2 * MEBIBYTE)
    },
  )

  it.each(Object.entries(clients))('of a client (%s) is wide for every stream and for the connection', async (_, connectTo) => {
    const server = createHttp2Server()
    const coming = once(server, 'session') as Promise<[ServerHttp2Session]>
    server.listen(0, HOST)
    await once(server, 'listening')
    closers.push(() => server.close())
    closers.push(connectTo(`${HOST}:${String((server.address() as AddressInfo).port)}`))
    const [session] = await coming
    closers.push(() => {
      session.destroy()
    })
    const { stream, connection } = await windowsOfPeer(session)
    expect(stream).toBeGreaterThanOrEqual(RECEIVE_WINDOW_BYTES)
    expect(connection).toBeGreaterThanOrEqual(RECEIVE_WINDOW_BYTES)
  })

  it('cannot be set where a server has no HTTP/2 servers that we know of', () => {
    expect(() => {
      widenReceiveWindow(new Server(), RECEIVE_WINDOW_BYTES)
    }).toThrow('keeps its HTTP/2 servers in http2Servers')
  })
})
