import { Averager } from '@lockstep/averager/averager.js'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import { CHUNK_FLOATS, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { ComputeClient } from '@lockstep/worker/compute/compute-client.js'
import { Accumulators } from '@lockstep/worker/compute/accumulators.js'
import { OWN_REGION, WeightsMemory } from '@lockstep/worker/compute/weights-memory.js'
import { Exchange } from '@lockstep/worker/exchange/exchange.js'
import { SliceLink } from '@lockstep/worker/exchange/slice-link.js'
import { Prefetch } from '@lockstep/worker/loader/prefetch.js'
import { SlotPool } from '@lockstep/worker/span-loop/slot-pool.js'
import { SpanLoop } from '@lockstep/worker/span-loop/span-loop.js'
import { createWorkerLog } from '@lockstep/worker/worker-log.js'
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

/** A worker's exchange against the real averager: two slices, the second with a short last chunk. */

const RUN = 'exchange-test'
const TERM = 3
const LEAVES = 4
const SIZE = 3 * CHUNK_FLOATS + 1000
const layout: ParameterLayout = {
  entries: [{ name: 'fc/kernel', shape: [SIZE], offset: 0, size: SIZE, kind: 'kernel' }],
  size: SIZE,
}
const statistics = { lossSum: 1.5, samples: 2, correctTop1: 1, correctTop5: 2 }

/** Passes TCP on until it is told to cut every connection. */
class Relay {
  private readonly sockets = new Set<net.Socket>()
  private bytes = 0
  private cutAfterBytes = Infinity
  private readonly server: net.Server

  constructor(target: string) {
    const [host = '', port = ''] = target.split(':')
    this.server = net.createServer((near) => {
      const far = net.connect(Number(port), host)
      for (const socket of [near, far]) {
        this.sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => {
          this.sockets.delete(socket)
          near.destroy()
          far.destroy()
        })
      }
      near.on('data', (data) => {
        this.bytes += data.length
        if (this.bytes > this.cutAfterBytes) this.cut()
      })
      near.pipe(far).pipe(near)
    })
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    return `127.0.0.1:${String((this.server.address() as net.AddressInfo).port)}`
  }

  /** Cuts all connections once, after so many more bytes from the worker. */
  cutAfter(bytes: number): void {
    this.cutAfterBytes = this.bytes + bytes
  }

  cut(): void {
    this.cutAfterBytes = Infinity
    for (const socket of this.sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    this.server.close()
    await once(this.server, 'close')
  }
}

/** One worker's end: an exchange, its memory with one accumulator, and its weights. */
class Peer {
  readonly weights = WeightsMemory.create(SIZE)
  readonly exchange: Exchange
  readonly accumulators: Accumulators
  private readonly arena = Arena.create(16 * 1024 * 1024)
  private region = OWN_REGION

  constructor(addresses: readonly string[]) {
    this.accumulators = new Accumulators(this.arena, SIZE)
    this.accumulators.byteOffset(0)
    this.exchange = new Exchange({ run: RUN, term: TERM }, layout, addresses, this.arena.memory, this.weights)
  }

  /** Bit for bit; vitest's own comparison takes seconds for as many numbers. */
  expectWeights(averager: Averager): void {
    const expected = averager.read('weights', 0, SIZE)
    const { buffer, byteOffset, byteLength } = this.weights.view(this.region)
    expect(Buffer.from(buffer, byteOffset, byteLength).equals(Buffer.from(expected.buffer))).toBe(true)
  }

  async receive(version: number): Promise<void> {
    this.region = await this.exchange.weights.receive(version)
  }

  /** @param lend lets the averager read the gradient where it lies */
  async send(step: number, node: LeafRange, lend = false): Promise<string> {
    const byteOffset = this.fill((index) => gradientAt(node, index))
    const file = lend ? this.accumulators.file(0) : undefined
    return await this.exchange.send({ step, node, byteOffset, statistics, file })
  }

  /** Writes the accumulator. @returns its byte offset */
  fill(value: (index: number) => number): number {
    const byteOffset = this.accumulators.byteOffset(0)
    const values = this.arena.view(byteOffset, SIZE)
    for (let index = 0; index < SIZE; index++) values[index] = value(index)
    return byteOffset
  }
}

function gradientAt(node: LeafRange, index: number): number {
  return Math.fround(((index % 101) - 50) * 1e-3 * (node.first + 1))
}

describe('Exchange against the averager', () => {
  let averager: Averager
  let relays: Relay[]
  let addresses: string[]
  let peers: Peer[]

  beforeEach(async () => {
    averager = await Averager.start({
      ...{ run: RUN, term: TERM, layout, leaves: LEAVES, microBatches: LEAVES, slices: 2, host: '127.0.0.1', insecureNetwork: false },
      optimizer: { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' },
    })
    averager.write(
      'weights',
      0,
      Float32Array.from({ length: SIZE }, (_, index) => (index % 13) - 6),
    )
    await averager.open(0)
    relays = averager.addresses.map((address) => new Relay(address))
    addresses = await Promise.all(relays.map(async (relay) => await relay.listen()))
    peers = [new Peer(addresses), new Peer(addresses)]
  })

  afterEach(async () => {
    for (const peer of peers) peer.exchange.close()
    await Promise.all(
      relays.map(async (relay) => {
        await relay.close()
      }),
    )
    await averager.close()
  })

  /** Both peers contribute half of step 0; the step is reduced and committed. */
  const completeStep = async (): Promise<void> => {
    const reduced = once(averager, 'reduced')
    const outcomes = await Promise.all(peers.map(async (peer, index) => await peer.send(0, { first: 2 * index, count: 2 })))
    expect(outcomes).toEqual(['taken', 'taken'])
    await reduced
    await averager.commit(1)
  }

  it('receives the committed version, and the next one while it is made', async () => {
    await Promise.all(
      peers.map(async (peer) => {
        await peer.receive(0)
      }),
    )
    for (const peer of peers) peer.expectWeights(averager)
    await averager.beginStep(0, 0.1)
    const received = peers.map(async (peer) => {
      await peer.receive(1)
    })
    await completeStep()
    await Promise.all(received)
    for (const peer of peers) peer.expectWeights(averager)
    expect(peers[0]?.exchange.bytesAcknowledged).toBe(SIZE * 4)
    expect(peers[0]?.exchange.weights.bytesReceived).toBe(2 * SIZE * 4)
  })

  it('loses nothing when connections break in the middle of both directions', async () => {
    await averager.beginStep(0, 0.1)
    for (const relay of relays) relay.cutAfter(CHUNK_FLOATS * 4)
    const received = peers.map(async (peer) => {
      await peer.receive(1)
    })
    await completeStep()
    for (const relay of relays) relay.cut()
    await Promise.all(received)
    for (const peer of peers) peer.expectWeights(averager)
  })

  it('reads what is lent where it lies, until the step is over and no longer than it is told that it is', async () => {
    const [first, second] = peers
    if (first === undefined || second === undefined) throw new Error('two peers')
    await Promise.all(peers.map(async (peer) => await peer.receive(0)))
    expect(peers.every(({ exchange }) => exchange.mayLend)).toBe(true)
    const expected = averager.read('weights', 0, SIZE)
    await averager.beginStep(0, 0.1)
    expect(await first.send(0, { first: 0, count: 2 }, true)).toBe('taken')
    // acknowledged, and still read: another membership of the same process gets other memory before it computes
    first.accumulators.renew(0)
    first.fill(() => 1e6)
    const reduced = once(averager, 'reduced')
    expect(await second.send(0, { first: 2, count: 2 }, true)).toBe('taken')
    await reduced
    await averager.commit(1)
    await Promise.all(peers.map(async (peer) => await peer.receive(1)))
    for (const peer of peers) peer.expectWeights(averager)
    const after = averager.read('weights', 0, SIZE)
    const sumAt = (index: number): number =>
      Math.fround(gradientAt({ first: 0, count: 2 }, index) + gradientAt({ first: 2, count: 2 }, index))
    for (const index of [0, 1, CHUNK_FLOATS, SIZE - 1]) {
      const weight = expected[index] ?? Number.NaN
      expect(after[index]).toBeCloseTo(weight - 0.1 * (sumAt(index) + 5e-4 * weight), 4)
    }
  })

  it('waits when it is early and says so when it is late', async () => {
    const [early, late] = peers
    if (early === undefined || late === undefined) throw new Error('two peers')
    let settled = false
    const sent = early.send(0, { first: 0, count: 4 }).finally(() => (settled = true))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(settled).toBe(false)
    const reduced = once(averager, 'reduced')
    await averager.beginStep(0, 0.1)
    expect(await sent).toBe('taken')
    await reduced
    await averager.commit(1)
    expect(await late.send(0, { first: 0, count: 2 })).toBe('stale')
  })

  it('forgets a dropped version and receives the one that is made in its place', async () => {
    const [peer] = peers
    if (peer === undefined) throw new Error('a peer')
    await averager.beginStep(0, 0.1)
    peer.exchange.weights.want(1)
    const reduced = once(averager, 'reduced')
    await peer.send(0, { first: 0, count: 4 })
    await reduced
    await averager.drop(1)
    peer.exchange.weights.forget(1)
    await averager.beginStep(0, 0.01)
    const received = peer.receive(1)
    await completeStep()
    await received
    peer.expectWeights(averager)
  })

  it('forgets a dropped version when a job says so before the message does, and then ignores the message', async () => {
    const [peer] = peers
    if (peer === undefined) throw new Error('a peer')
    // the one part of a compute thread that a job without batches needs
    const compute = { setWeights: async () => await Promise.resolve() } as unknown as ComputeClient
    const loop = new SpanLoop({
      ...{ term: TERM, batch: { global: 8, micro: 2, leaf: 1 }, leaves: LEAVES, compute, exchange: peer.exchange, slots: new SlotPool() },
      training: new Prefetch({ load: async () => await Promise.reject(new Error('no training')), capacity: 1, concurrency: 1 }),
      evaluation: new Prefetch({ load: async () => await Promise.reject(new Error('no evaluation')), capacity: 1, concurrency: 1 }),
      ...{ tell: () => undefined, log: createWorkerLog('peer') },
    })
    const job = { kind: 'evaluation' as const, term: TERM, version: 1, first: 0, count: 0, drops: 1 }
    await averager.beginStep(0, 0.1)
    let reduced = once(averager, 'reduced')
    await peer.send(0, { first: 0, count: 4 })
    await reduced
    await peer.receive(1)
    await averager.drop(1)
    await averager.beginStep(0, 0.01)
    reduced = once(averager, 'reduced')
    await peer.send(0, { first: 0, count: 4 })
    await reduced
    await averager.commit(1)
    loop.onCommitted(1)
    await loop.run(job)
    peer.expectWeights(averager)
    const { bytesReceived } = peer.exchange.weights
    loop.onDropped(1, 1)
    await loop.run(job)
    expect(peer.exchange.weights.bytesReceived).toBe(bytesReceived)
    await loop.stop()
  })

  it('says which slice cannot be reached', async () => {
    const link = new SliceLink('127.0.0.1:1', 7, { firstMs: 10, mostMs: 50, limitMs: 200 })
    const key = { step: 0, firstLeaf: 0, leafCount: 1, chunk: 0 }
    const sent = new Promise((settle, fail) => {
      link.send({ ...key, bytes: 4, contribution: { run: RUN, term: TERM, ...key }, body: Buffer.alloc(4), settle, fail })
    })
    await expect(sent).rejects.toMatchObject({ code: 'NETWORK', message: expect.stringMatching(/slice 7 at 127\.0\.0\.1:1/) as string })
    link.close()
  })
})
