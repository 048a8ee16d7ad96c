import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import { NARROW_BYTES } from '@lockstep/shared/kernels/arena.js'
import { slicesOf, type ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { WeightsMemory } from '../compute/weights-memory.js'
import { NodeSender, type SendOutcome, type SummedNode } from './node-sender.js'
import { SliceLink } from './slice-link.js'
import { WeightsReceiver } from './weights-receiver.js'

/** Gradients out and weights in, for one membership. */
/** How bodies travel. */
export interface ExchangeOptions {
  /** Through memory that both sides see, where there is such. Default: true. */
  readonly shareMemory?: boolean
  /** As bfloat16; the nodes given to {@link Exchange.send} are then. Default: false. */
  readonly narrow?: boolean
  /** Where it is noted what travelled when. */
  readonly spans?: SpanRecorder
}

export class Exchange {
  readonly weights: WeightsReceiver
  private readonly links: readonly SliceLink[]
  private readonly sender: NodeSender

  /**
   * @param addresses host:port of every slice, in parameter order
   * @param memory where the compute thread's accumulators lie
   * @param weights where the whole flat weights vector lies
   */
  constructor(
    identity: { readonly run: string; readonly term: number; readonly worker?: string },
    layout: ParameterLayout,
    addresses: readonly string[],
    memory: WasmMemory,
    weights: WeightsMemory,
    options: ExchangeOptions = {},
  ) {
    const slices = slicesOf(layout.size, addresses.length)
    invariant(slices.length === addresses.length, 'the vector is cut into as many slices as have an address')
    this.links = addresses.map((address, index) => new SliceLink(address, index, undefined, identity.worker))
    this.sender = new NodeSender(
      identity,
      slices,
      this.links,
      memory,
      options.spans ?? new SpanRecorder(0),
      options.narrow === true ? NARROW_BYTES : 4,
    )
    this.weights = new WeightsReceiver(identity, slices, this.links, weights, options)
  }

  /** Whether the averager reads what we lend it: it is on this machine, and bodies are what accumulators hold. */
  get mayLend(): boolean {
    return this.links.every((link) => link.sharesMemory)
  }

  get bytesAcknowledged(): number {
    return this.links.reduce((sum, link) => sum + link.bytesAcknowledged, 0)
  }

  /** Sends a node to all slices. @see NodeSender.send */
  async send(node: SummedNode): Promise<SendOutcome> {
    return await this.sender.send(node, () => {
      this.dropWaiting()
    })
  }

  /** The step is over for us: what is not on its way yet is not sent. */
  dropWaiting(): void {
    for (const link of this.links) link.dropWaiting()
  }

  close(): void {
    this.weights.close()
    for (const link of this.links) link.close()
  }
}
