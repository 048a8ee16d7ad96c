import { once } from 'node:events'
import net from 'node:net'
import { DelayLine, type DelayLineOptions } from './delay-line.js'

/** Where a relay leads, and what the way there is like. */
export interface RelayOptions {
  readonly host: string
  readonly port: number
  /** There and back; each direction takes half of it. */
  readonly roundTripMs: number
  /** Of a connection, each direction; Infinity for no limit. */
  readonly bytesPerSecond: number
}

/** What is put on the way without a limit of its rate: more than any test machine passes on in JavaScript. */
const FASTEST_BYTES_PER_SECOND = 2e9
/** On top of what the delay holds, so that reading and writing need not wait for each other. */
const SLACK_BYTES = 2 * 1024 * 1024

/**
 * Passes TCP on, every byte after half a round trip, both directions at once. A direction holds what its delay needs and little more:
 * beyond that it does not read, and the sender's own buffers fill. Delays are never shorter than asked, and up to a millisecond longer, the
 * step of Node's timers. TCP's own windows and losses over such a way are not simulated: here both its ends are near.
 */
export class DelayRelay {
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  readonly #lines: DelayLine[] = []

  private constructor(
    server: net.Server,
    /** From so much held a direction of a connection does not read. */
    readonly capacityBytes: number,
  ) {
    this.#server = server
  }

  static async listen(options: RelayOptions): Promise<DelayRelay> {
    const { host, port, roundTripMs, bytesPerSecond } = options
    const delayMs = roundTripMs / 2
    const capacityBytes = SLACK_BYTES + (Math.min(bytesPerSecond, FASTEST_BYTES_PER_SECOND) * delayMs) / 1000
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
      const far = net.connect({ host, port, noDelay: true, allowHalfOpen: true })
      relay.#keep(near, far)
      relay.#carry(near, far, { delayMs, bytesPerSecond, capacityBytes })
      relay.#carry(far, near, { delayMs, bytesPerSecond, capacityBytes })
    })
    const relay = new DelayRelay(server, capacityBytes)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return relay
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** The most that a direction of a connection ever held. */
  get mostHeldBytes(): number {
    return Math.max(0, ...this.#lines.map((line) => line.mostHeldBytes))
  }

  #carry(from: net.Socket, to: net.Socket, options: DelayLineOptions): void {
    const line = new DelayLine(options)
    this.#lines.push(line)
    carry(from, to, line)
  }

  #keep(near: net.Socket, far: net.Socket): void {
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
      })
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

/** One direction of a connection. */
function carry(from: net.Socket, to: net.Socket, line: DelayLine): void {
  let [ended, mustDrain] = [false, false]
  let timer: NodeJS.Timeout | undefined
  const deliver = (): void => {
    timer = undefined
    if (to.destroyed) return
    to.cork()
    while (!mustDrain) {
      const data = line.take(performance.now())
      if (data === undefined) break
      mustDrain = !to.write(data)
    }
    to.uncork()
    if (!line.isFull) from.resume()
    if (mustDrain) return
    const { nextMs } = line
    if (nextMs !== undefined) timer = setTimeout(deliver, Math.max(0, nextMs - performance.now()))
    else if (ended) to.end()
  }
  from.on('data', (data: Buffer) => {
    line.put(data, performance.now())
    if (line.isFull) from.pause()
    if (timer === undefined && !mustDrain) deliver()
  })
  from.on('end', () => {
    ended = true
    if (timer === undefined && !mustDrain) deliver()
  })
  to.on('drain', () => {
    mustDrain = false
    if (timer === undefined) deliver()
  })
  // an end that broke breaks the other; one that ended in peace leaves it what is still on the way
  from.on('close', () => {
    if (!ended) to.destroy()
  })
  to.on('close', () => {
    clearTimeout(timer)
    if (!to.writableFinished) from.destroy()
  })
}
