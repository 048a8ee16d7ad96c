import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bind, createServer } from '@lockstep/shared/protocol/endpoints.js'
import type { CoordinatorMessage } from '@lockstep/shared/protocol/generated/lockstep/v1/CoordinatorMessage.js'
import type { WorkerMessage__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WorkerMessage.js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import type { Server, ServerDuplexStream } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Relay } from './support/relay.js'
import { RemoteWorker } from './support/remote-worker.js'

/** The way between a worker and its coordinator: which proxies of the environment count, and what the tests' relay does to it. */

let base: string
let server: Server
let address: string
let relay: Relay
const streams: ServerDuplexStream<WorkerMessage__Output, CoordinatorMessage>[] = []
const hellos: string[] = []

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-relay-'))
  server = createServer()
  server.addService(services.Coordinator.service, {
    Join: (stream: ServerDuplexStream<WorkerMessage__Output, CoordinatorMessage>) => {
      streams.push(stream)
      stream.on('data', ({ hello }: WorkerMessage__Output) => hellos.push(hello?.name ?? '')).on('error', () => undefined)
    },
  })
  address = `127.0.0.1:${String(await bind(server, '127.0.0.1', 0, false))}`
  relay = await Relay.start()
})

afterEach(async () => {
  server.forceShutdown()
  await relay.close()
  await rm(base, { recursive: true })
  streams.length = 0
  hellos.length = 0
})

/** A worker that only says hello: its coordinator never answers. */
function greeter(options: { proxy?: string } = {}): RemoteWorker {
  return new RemoteWorker({ join: address, name: 'greeter', logFile: join(base, 'greeter.log'), ...options })
}

describe("a worker's way to its coordinator", () => {
  it('leads through grpc_proxy', async () => {
    const worker = greeter({ proxy: relay.url })
    await expect.poll(() => hellos, { timeout: 10_000 }).toEqual(['greeter'])
    expect(relay.ports).toEqual([Number(address.split(':')[1])])
    worker.signal('SIGKILL')
    await worker.ended
  })

  it("does not lead through http_proxy, which is a shell's way to the web", async () => {
    process.env.http_proxy = 'http://127.0.0.1:9'
    const worker = greeter()
    delete process.env.http_proxy
    await expect.poll(() => hellos, { timeout: 10_000 }).toEqual(['greeter'])
    worker.signal('SIGKILL')
    await worker.ended
  })
})

describe('the relay', () => {
  it('holds what is sent until it is healed, and cuts', async () => {
    relay.hold('up')
    const worker = greeter({ proxy: relay.url })
    await expect.poll(() => relay.ports.length, { timeout: 10_000 }).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(hellos).toEqual([])
    relay.heal()
    await expect.poll(() => hellos, { timeout: 10_000 }).toEqual(['greeter'])
    relay.cut()
    await expect.poll(() => hellos.length, { timeout: 10_000 }).toBe(2)
    worker.signal('SIGKILL')
    await worker.ended
    expect(await readFile(join(base, 'greeter.log'), 'utf8')).toContain('asking again')
  })
})
