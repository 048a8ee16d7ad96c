import type { ClientDuplexStream } from '@grpc/grpc-js'
import { CHUNK_FLOATS, slicesOf, type Slice } from '@lockstep/shared/parameters/layout.js'
import { clientEndpoint } from '@lockstep/shared/protocol/endpoints.js'
import type { Acknowledgement__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Acknowledgement.js'
import type { AveragerClient } from '@lockstep/shared/protocol/generated/lockstep/v1/Averager.js'
import type { Contribution } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { WeightsChunk__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/WeightsChunk.js'
import { services } from '@lockstep/shared/protocol/grpc-definitions.js'
import { memberMetadata } from '@lockstep/shared/protocol/member-metadata.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'

/** One chunk of a node, before its floats are looked up. */
export interface ChunkAddress {
  readonly slice: Slice
  readonly chunk: number
}

/** Identity under which a client sends. */
export interface Sender {
  readonly run: string
  readonly term: number
  /** Membership, where it matters. */
  readonly worker?: string
}

/** The least that a worker must do, over the real wire. For tests and measurements. */
export class ContributionClient {
  readonly slices: readonly Slice[]
  readonly #size: number
  readonly #sender: Sender
  readonly #clients: readonly AveragerClient[]
  /** Connections of their own, as workers have them: see docs/exchange.md. */
  readonly #weightsClients: readonly AveragerClient[]
  readonly #streams: readonly ClientDuplexStream<Contribution, Acknowledgement__Output>[]
  readonly #acknowledgements: Acknowledgement__Output[] = []
  readonly #waiting: { count: number; resolve: () => void }[] = []

  constructor(addresses: readonly string[], size: number, sender: Sender) {
    this.#size = size
    this.#sender = sender
    this.slices = slicesOf(size, addresses.length)
    const { credentials, options } = clientEndpoint()
    const connect = (address: string): AveragerClient => new services.Averager(address, credentials, options)
    this.#clients = addresses.map(connect)
    this.#weightsClients = addresses.map(connect)
    this.#streams = this.#clients.map((client) => {
      const stream = client.contribute(memberMetadata(sender.worker ?? ''))
      stream.on('data', (acknowledgement: Acknowledgement__Output) => {
        this.#acknowledgements.push(acknowledgement)
        for (const waiting of this.#waiting) if (waiting.count <= this.#acknowledgements.length) waiting.resolve()
      })
      stream.on('error', () => undefined)
      return stream
    })
  }

  /** All chunks of all slices, in order. */
  chunks(): ChunkAddress[] {
    return this.slices.flatMap((slice) => Array.from({ length: Math.ceil(slice.size / CHUNK_FLOATS) }, (_, chunk) => ({ slice, chunk })))
  }

  /** The bytes of a chunk of a flat vector. */
  static body(values: Float32Array, { slice, chunk }: ChunkAddress): Buffer {
    const from = slice.offset + chunk * CHUNK_FLOATS
    const floats = Math.min(CHUNK_FLOATS, slice.size - chunk * CHUNK_FLOATS)
    return Buffer.from(values.buffer, values.byteOffset + from * 4, floats * 4)
  }

  /** Sends one chunk; waits while the wire is full. `changes` spoil it. */
  async send(
    step: number,
    node: LeafRange,
    values: Float32Array,
    address: ChunkAddress,
    changes: Partial<Contribution> = {},
  ): Promise<void> {
    const { slice, chunk } = address
    const stream = this.#streams[slice.index]
    const statistics =
      slice.index === 0 && chunk === 0
        ? { lossSum: 0.1 * (node.first + 1), samples: 4 * node.count, correctTop1: node.first, correctTop5: node.count }
        : null
    const body = ContributionClient.body(values, address)
    const { run, term } = this.#sender
    const contribution = { run, term, step, firstLeaf: node.first, leafCount: node.count, chunk, body, statistics, ...changes }
    if (stream?.write(contribution) === false) await new Promise((resolve) => stream.once('drain', resolve))
  }

  /** Sends all chunks of a node. */
  async sendNode(step: number, node: LeafRange, values: Float32Array): Promise<void> {
    for (const address of this.chunks()) await this.send(step, node, values, address)
  }

  /** The outcomes of the first `count` contributions, when there are as many. */
  async outcomes(count: number): Promise<Acknowledgement__Output[]> {
    if (this.#acknowledgements.length < count) {
      await new Promise<void>((resolve) => {
        this.#waiting.push({ count, resolve })
      })
    }
    return this.#acknowledgements
  }

  /** Fetches a version from all slices. @throws the first gRPC error */
  async weights(version: number, onChunk: (slice: number, chunk: number) => void = () => undefined): Promise<Float32Array> {
    const values = new Float32Array(this.#size)
    const bytes = Buffer.from(values.buffer)
    await Promise.all(
      this.#weightsClients.map(async (client, index) => {
        const stream = client.weights({ run: this.#sender.run, term: this.#sender.term, version })
        const offset = this.slices[index]?.offset ?? 0
        let next = 0
        for await (const { chunk, body } of stream as AsyncIterable<WeightsChunk__Output>) {
          if (chunk !== next++) throw new Error(`chunk ${String(chunk)} came out of order`)
          body.copy(bytes, (offset + chunk * CHUNK_FLOATS) * 4)
          onChunk(index, chunk)
        }
      }),
    )
    return values
  }

  /** Breaks everything off. */
  close(): void {
    for (const stream of this.#streams) stream.cancel()
    for (const client of [...this.#clients, ...this.#weightsClients]) client.close()
  }
}
