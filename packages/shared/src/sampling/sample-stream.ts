import { invariant } from '../errors/train-error.js'
import { philox } from '../random/philox.js'
import { PURPOSE } from '../random/purposes.js'
import type { Recipe } from '../recipe/schema.js'
import { identity, RandomWords } from './random-words.js'

export interface SampleStreamOptions {
  /** Samples in the training set, N. */
  readonly size: number
  readonly seed: number
  readonly shuffle: Recipe['data']['shuffle']
  /** Samples in each block (shard) of the training set, in order; they add up to `size`. Without it, `block` is `full`. */
  readonly blocks?: readonly number[] | undefined
}

/**
 * The order of one epoch. Counters of purpose `shuffle`: (draw, epoch, 0, 0) for a full permutation and for the order of
 * blocks, (draw, epoch, 1, block) within a block.
 * @returns N sample numbers
 */
export function epochOrder({ size, seed, shuffle, blocks }: SampleStreamOptions, epoch: number): Uint32Array {
  const words = (kind: number, block: number): RandomWords =>
    new RandomWords((draw, out) => {
      philox(draw, epoch, kind, block, seed, PURPOSE.shuffle, out)
    })
  if (shuffle === 'none') return identity(size)
  if (shuffle === 'full' || blocks === undefined) return words(0, 0).shuffle(identity(size))
  const starts: number[] = []
  let end = 0
  for (const count of blocks) {
    starts.push(end)
    end += count
  }
  invariant(end === size, 'the blocks of a sample stream add up to its size')
  const order = new Uint32Array(size)
  let at = 0
  for (const block of words(0, 0).shuffle(identity(blocks.length))) {
    const start = starts[block] ?? 0
    for (const offset of words(1, block).shuffle(identity(blocks[block] ?? 0))) order[at++] = start + offset
  }
  return order
}

/** An order to pack samples in, so that every shard holds all classes. Counters (draw, 0, 2, 0) of purpose `shuffle`. */
export function packingOrder(size: number, seed: number): Uint32Array {
  const words = new RandomWords((draw, out) => {
    philox(draw, 0, 2, 0, seed, PURPOSE.shuffle, out)
  })
  return words.shuffle(identity(size))
}

/**
 * The endless sequence of training samples: epoch e is a permutation of the training set keyed by (seed, e); stream
 * position p is sample p mod N of epoch floor(p / N). Any position may be asked for in any order; the orders of two
 * neighbouring epochs are kept, since a step may cross from one into the next.
 */
export class SampleStream {
  private readonly kept: { epoch: number; order: Uint32Array }[] = []

  constructor(private readonly options: SampleStreamOptions) {
    invariant(Number.isSafeInteger(options.size) && options.size > 0, 'a sample stream has samples')
  }

  /** Number, in the training set, of the sample at stream position `position`. */
  sample(position: number): number {
    const index = position % this.options.size
    return this.options.shuffle === 'none' ? index : (this.order(this.epochOf(position))[index] ?? 0)
  }

  epochOf(position: number): number {
    return Math.floor(position / this.options.size)
  }

  private order(epoch: number): Uint32Array {
    const slot = epoch % 2
    const kept = this.kept[slot]
    if (kept?.epoch === epoch) return kept.order
    const order = epochOrder(this.options, epoch)
    this.kept[slot] = { epoch, order }
    return order
  }
}
