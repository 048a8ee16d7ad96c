import type { Slice } from '@lockstep/shared/parameters/layout.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import type { LeafRange } from '@lockstep/shared/reduction/tree.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import type { SpanRecorder } from '@lockstep/shared/trace/span-recorder.js'
import type { SpanSubject } from '@lockstep/shared/trace/span.js'
import { chunksOfSlice, type VectorChunk } from './node-chunks.js'
import type { SliceLink } from './slice-link.js'

/** A summed node in shared memory. */
export interface SummedNode {
  readonly step: number
  readonly node: LeafRange
  /** Byte offset of the flat vector in `memory`. */
  readonly byteOffset: number
  readonly statistics: NodeStatistics
  /** The file that the vector is, if it is lent: then it stays as it is until the step is over. */
  readonly file?: SharedFile | undefined
}

/** `taken`: every chunk is where it belongs. `stale`: the step, term or run is over; the rest of the span is not needed. */
export type SendOutcome = 'taken' | 'stale'

/** Sends the partial gradient of a node to all slices, chunk by chunk. */
export class NodeSender {
  private readonly floats: number

  constructor(
    private readonly identity: { readonly run: string; readonly term: number },
    private readonly slices: readonly Slice[],
    private readonly links: readonly SliceLink[],
    private readonly memory: WasmMemory,
    private readonly spans: SpanRecorder,
    /** 4, or 2 where nodes are bfloat16. */
    private readonly elementBytes: number,
  ) {
    this.floats = slices.reduce((sum, slice) => sum + slice.size, 0)
  }

  /**
   * Resolves when every chunk of every slice is acknowledged: only then may the memory be written again.
   * @param onStale called at the first chunk that comes too late
   * @throws TrainError NETWORK if a slice cannot be reached
   */
  async send(summed: SummedNode, onStale: () => void): Promise<SendOutcome> {
    // the memory may have grown on the other thread: growing it by nothing shows its present length here
    if (this.memory.buffer.byteLength < summed.byteOffset + this.floats * this.elementBytes) this.memory.grow(0)
    let outcomeOfAll: SendOutcome = 'taken'
    const comesLate = (): void => {
      if (outcomeOfAll === 'taken') onStale()
      outcomeOfAll = 'stale'
    }
    const startUs = this.spans.now()
    const chunks = this.slices.flatMap((slice, index) => {
      const all = chunksOfSlice(slice)
      let left = all.length
      return all.map(async (chunk) => {
        const outcome = await this.sendChunk(summed, chunk, index)
        invariant(
          outcome !== 'MALFORMED',
          `the averager understands chunk ${String(chunk.chunk)} of leaves ${String(summed.node.first)}+${String(summed.node.count)}`,
        )
        if (outcome !== 'ACCEPTED' && outcome !== 'DUPLICATE') comesLate()
        if (--left === 0) this.spans.add(sendSubject(summed, index), startUs)
      })
    })
    // all of them, even if one fails: nothing may be in flight when the memory is used again
    const settled = await Promise.allSettled(chunks)
    const failed = settled.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return outcomeOfAll
  }

  private async sendChunk(summed: SummedNode, chunk: VectorChunk, index: number): Promise<string> {
    const link = this.links[index]
    invariant(link !== undefined, 'every slice has a link')
    const { step, node } = summed
    const bytes = chunk.floats * this.elementBytes
    const key = { step, firstLeaf: node.first, leafCount: node.count, chunk: chunk.chunk }
    return await new Promise((resolve, reject) => {
      link.send({
        ...key,
        bytes,
        lent: summed.file && {
          path: summed.file.path,
          inode: summed.file.inode,
          offset: chunk.offset * this.elementBytes,
          bytes,
          lent: true,
        },
        contribution: {
          run: this.identity.run,
          term: this.identity.term,
          ...key,
          statistics: chunk.slice === 0 && chunk.chunk === 0 ? summed.statistics : null,
        },
        // the bytes are where the compute thread left them; they are copied when the message is written
        body: Buffer.from(this.memory.buffer, summed.byteOffset + chunk.offset * this.elementBytes, bytes),
        settle: resolve,
        fail: reject,
      })
    })
  }
}

/** From when a node is given to a slice's stream to its last acknowledgement. */
function sendSubject({ step, node }: SummedNode, slice: number): SpanSubject {
  const name = node.count === 1 ? `leaf ${String(node.first)}` : `leaves ${String(node.first)}–${String(node.first + node.count - 1)}`
  return { track: `send to slice ${String(slice)}`, kind: 'send', name, step }
}
