import { once } from 'node:events'
import net from 'node:net'

/**
 * The network between a worker and its coordinator, for tests: an HTTP CONNECT proxy on loopback. A worker that is
 * started with `grpc_proxy` pointing here reaches membership and slices through it, on the very code paths that it uses
 * behind a proxy of a firm; nothing in the product knows of tests. (The queue goes another way: it is transport only and
 * has faults of its own.)
 */

export type Direction = 'up' | 'down' | 'both'

/** Which connections are meant: those to one port of the coordinator, all but those to one, or all. */
export interface Selection {
  readonly port?: number
  readonly notPort?: number
}

interface Passage {
  readonly port: number
  /** The worker's side. */
  readonly near: net.Socket
  readonly far: net.Socket
}

interface Rule {
  readonly selection: Selection
  readonly direction: Direction
  /** Infinity: nothing passes until {@link Relay.heal}; TCP keeps what was sent, as it does while a cable is out. */
  readonly delayMs: number
}

export class Relay {
  readonly #server: net.Server
  readonly #passages = new Set<Passage>()
  readonly #held: (() => void)[] = []
  readonly #ports: number[] = []
  #rules: Rule[] = []
  #cutAfter: { selection: Selection; bytes: number } | undefined
  /** How often {@link cutAfterUp} has struck. */
  cuts = 0

  private constructor() {
    this.#server = net.createServer((near) => {
      near.on('error', () => undefined)
      this.#greet(near)
    })
  }

  static async start(): Promise<Relay> {
    const relay = new Relay()
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  /** For the worker's `grpc_proxy`. */
  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as net.AddressInfo).port)}`
  }

  /** Ports of the coordinator that were asked for, in the order of the first time. */
  get ports(): readonly number[] {
    return this.#ports
  }

  /** Breaks connections off, as a router that restarts does. */
  cut(selection: Selection = {}): void {
    for (const { port, near, far } of this.#passages) {
      if (!matches(selection, port)) continue
      near.destroy()
      far.destroy()
    }
  }

  /** Nothing passes any more, in one direction or both; connections stay. New ones are held as well. */
  hold(direction: Direction, selection: Selection = {}): void {
    this.#rules.push({ selection, direction, delayMs: Infinity })
  }

  /** Everything comes so much later. */
  delay(delayMs: number, selection: Selection = {}): void {
    this.#rules.push({ selection, direction: 'both', delayMs })
  }

  /** Breaks a connection off after so many more bytes from the worker, once: in the middle of whatever travels. */
  cutAfterUp(bytes: number, selection: Selection = {}): void {
    this.#cutAfter = { selection, bytes }
  }

  /** Everything passes again, first of all what was held. */
  heal(): void {
    this.#rules = []
    for (const release of this.#held.splice(0)) release()
  }

  async close(): Promise<void> {
    this.#rules = []
    this.#server.close()
    this.cut()
    this.#held.length = 0
    if (this.#server.listening) await once(this.#server, 'close')
  }

  /** Reads the CONNECT request and opens the passage. */
  #greet(near: net.Socket): void {
    let head = Buffer.alloc(0)
    const read = (data: Buffer): void => {
      head = Buffer.concat([head, data])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      near.off('data', read)
      near.pause()
      const target = /^CONNECT ([^ ]+):(\d+) /.exec(head.toString('latin1'))
      if (target === null) {
        near.destroy()
        return
      }
      this.#open(near, target[1] ?? '', Number(target[2]), head.subarray(end + 4))
    }
    near.on('data', read)
  }

  #open(near: net.Socket, host: string, port: number, rest: Buffer): void {
    if (!this.#ports.includes(port)) this.#ports.push(port)
    const far = net.connect(port, host.replace(/^\[|\]$/g, ''))
    const passage = { port, near, far }
    this.#passages.add(passage)
    const end = (): void => {
      this.#passages.delete(passage)
      near.destroy()
      far.destroy()
    }
    near.on('close', end)
    far.on('close', end)
    far.on('error', () => undefined)
    far.once('connect', () => {
      near.write('HTTP/1.1 200 Connection established\r\n\r\n')
      if (rest.length > 0) far.write(rest)
      this.#pass(passage, 'up')
      this.#pass(passage, 'down')
    })
  }

  #pass(passage: Passage, direction: 'up' | 'down'): void {
    const [from, to] = direction === 'up' ? [passage.near, passage.far] : [passage.far, passage.near]
    from.on('data', (data: Buffer) => {
      const count = direction === 'up' ? this.#lastBytes(passage, data.length) : data.length
      if (count < data.length) {
        to.end(data.subarray(0, count), () => {
          passage.near.destroy()
        })
        return
      }
      const delayMs = this.#delayOf(passage.port, direction)
      if (delayMs === 0) {
        if (!to.write(data)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
        return
      }
      from.pause()
      const release = (): void => {
        if (!to.destroyed) to.write(data)
        from.resume()
      }
      if (delayMs === Infinity) this.#held.push(release)
      else setTimeout(release, delayMs).unref()
    })
    from.resume()
  }

  /** How many of these bytes still pass before the cut that was asked for. */
  #lastBytes({ port }: Passage, length: number): number {
    const cut = this.#cutAfter
    if (cut === undefined || !matches(cut.selection, port)) return length
    if (length <= cut.bytes) {
      cut.bytes -= length
      return length
    }
    this.#cutAfter = undefined
    this.cuts++
    return cut.bytes
  }

  #delayOf(port: number, direction: 'up' | 'down'): number {
    const rules = this.#rules.filter((rule) => matches(rule.selection, port) && (rule.direction === 'both' || rule.direction === direction))
    return Math.max(0, ...rules.map(({ delayMs }) => delayMs))
  }
}

function matches({ port, notPort }: Selection, actual: number): boolean {
  return (port === undefined || actual === port) && (notPort === undefined || actual !== notPort)
}
