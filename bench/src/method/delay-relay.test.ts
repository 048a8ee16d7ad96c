import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { DelayRelay } from './delay-relay.js'

const HOST = '127.0.0.1'
const MEBIBYTE = 1024 * 1024

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close()
})

/** Bytes of which none can be lost or moved unseen: the same ten thousand and some again and again, a number prime to any buffer's size. */
function pattern(bytes: number, step: number): Buffer {
  const piece = Buffer.from(Uint8Array.from({ length: 10_007 }, (_, index) => (index * step) >> 3))
  return Buffer.alloc(bytes, piece)
}

async function everything(socket: net.Socket): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of socket) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** A server, a relay to it, and both ends of one connection through it. */
async function connected(roundTripMs: number, bytesPerSecond: number): Promise<{ near: net.Socket; far: net.Socket; relay: DelayRelay }> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const coming = once(server, 'connection') as Promise<[net.Socket]>
  server.listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const relay = await DelayRelay.listen({ host: HOST, port, roundTripMs, bytesPerSecond })
  const near = net.connect({ host: HOST, port: relay.port, allowHalfOpen: true })
  const [far] = await coming
  closers.push(() => {
    for (const socket of [near, far]) socket.destroy()
    relay.close()
    server.close()
  })
  return { near, far, relay }
}

describe('DelayRelay', () => {
  it.each([
    [0, Infinity],
    [4, Infinity],
    [4, 50e6],
  ])('passes both directions on whole, at %d ms and %d bytes a second', async (roundTripMs, bytesPerSecond) => {
    const { near, far } = await connected(roundTripMs, bytesPerSecond)
    const [there, back] = [pattern(3 * MEBIBYTE, 7), pattern(2 * MEBIBYTE, 13)]
    near.end(there)
    far.end(back)
    const [atFar, atNear] = await Promise.all([everything(far), everything(near)])
    expect(atFar.equals(there)).toBe(true)
    expect(atNear.equals(back)).toBe(true)
  })

  it('holds no more than its capacity while the far end does not read, and loses nothing', async () => {
    const { near, far, relay } = await connected(2, Infinity)
    const there = pattern(32 * MEBIBYTE, 11)
    near.end(there)
    while (relay.mostHeldBytes < relay.capacityBytes && near.writableLength > 0) await new Promise((resolve) => setImmediate(resolve))
    const atFar = await everything(far)
    expect(atFar.equals(there)).toBe(true)
    // what one reading brings may come on top
    expect(relay.mostHeldBytes).toBeLessThan(relay.capacityBytes + 64 * 1024)
  })
})
