import { invariant } from '../errors/train-error.js'
import type { ParameterLayout } from '../parameters/layout.js'
import { maximalNodes, type LeafRange } from '../reduction/tree.js'
import { describeNetwork } from './description.js'
import type { Network } from './network.js'
import { elementsOf } from './shapes.js'

/** Estimates for `--dry-run`: what a run will take before anything is started. Bytes throughout; docs/ holds the same formulas. */
export interface MemoryOptions {
  readonly network: Network
  /** What is trained and travels. */
  readonly layout: ParameterLayout
  /** Samples of a micro-batch. */
  readonly microBatch: number
  /** M, leaves of a step. */
  readonly leaves: number
  readonly workers: number
  /** Whether the exchange is in bfloat16. Default: false. */
  readonly narrow?: boolean
}

const FLOAT_BYTES = 4
/** Node with TensorFlow's libraries (370 MB), slack of the allocators and the working memory of one convolution; fitted, see below. */
const ENGINE_BASE_BYTES = 770e6
/** Node with gRPC, queue client and the threads of the averager, without any vector. */
const COORDINATOR_BASE_BYTES = 300e6
/** Micro-batches of pictures a worker holds: computed, decoded ahead, being decoded. */
const INPUT_BATCHES = 3

/**
 * Peak of a process that computes gradients and nothing else:
 *   base + weights (4 bytes each, frozen ones too) + gradients (4·P, of what is trained) + the largest tensor once more, being read back (4·p)
 *   + micro-batch · (activations and their gradients of an image).
 * Against measurements of one thread with the allocator settings of a worker, in MB, estimate / measured: VGG-D 224 px
 * micro-batch 1: 2410 / 2206, 4: 2776 / 2843, 8: 3264 / 3023, 16: 4239 / 3806; VGG-A 224 px 8: 2828 / 2669, 112 px 32: 1823 / 1622.
 */
export function engineBytes({ network, layout, microBatch }: Pick<MemoryOptions, 'network' | 'layout' | 'microBatch'>): number {
  const largest = layout.entries.reduce((max, entry) => Math.max(max, entry.size), 0)
  const { parameters, statistics, trainingBytes } = describeNetwork(network)
  return ENGINE_BASE_BYTES + (parameters + statistics + layout.size + largest) * FLOAT_BYTES + microBatch * trainingBytes
}

/**
 * Peak of a worker process:
 *   its engine + two versions of the averager's weights, mapped (4·P each; over a network one incoming vector instead)
 *   + accumulators (ceil(log2 n) + 1, 4·P each, for a span of n leaves)
 *   + three micro-batches of pictures; + the residual (4·P) where the exchange is in bfloat16.
 * A span is at least the fair share of the leaves; a worker that is faster than others, or alone, gets more.
 */
export function workerBytes(options: MemoryOptions): number {
  const { network, layout, microBatch, leaves, workers } = options
  invariant(leaves >= 1 && workers >= 1, 'a step has leaves and a run has workers')
  const span = Math.ceil(leaves / workers)
  const accumulators = Math.ceil(Math.log2(span)) + 1
  const inputs = INPUT_BATCHES * microBatch * elementsOf(network.inputShape)
  const residual = options.narrow === true ? 1 : 0
  return engineBytes(options) + ((2 + accumulators + residual) * layout.size + inputs) * FLOAT_BYTES
}

/**
 * Peak of the coordinator with its averager:
 *   base + frozen weights (4 bytes each) + weights and velocity, committed and provisional (4 vectors of 4·P)
 *   + an accumulator of each worker, mapped (4·P each; over a network what waits for its sibling instead, a vector a worker beyond the first);
 *   + rounded weights and residuals of both versions (2 · 2·P and 2 · 4·P) where the exchange is in bfloat16.
 */
export function coordinatorBytes({ network, layout, leaves, workers, narrow = false }: Omit<MemoryOptions, 'microBatch'>): number {
  const lent = Math.min(workers, leaves)
  const { parameters, statistics } = describeNetwork(network)
  const frozen = parameters + statistics - layout.size
  return COORDINATOR_BASE_BYTES + (frozen + (4 + lent + (narrow ? 3 : 0)) * layout.size) * FLOAT_BYTES
}

/** What travels in one step between the averager and all workers, over the network or through shared memory. */
export interface ExchangedBytes {
  /** Nodes sent · 4·P: a worker sends the maximal whole nodes of its span. */
  readonly gradients: number
  /** Workers · 4·P: every worker gets the whole new weights. */
  readonly weights: number
}

/** For workers of equal speed. Workers beyond the number of leaves get no span, but the weights. */
export function exchangedBytes({
  layout,
  leaves,
  workers,
  narrow = false,
}: Pick<MemoryOptions, 'layout' | 'leaves' | 'workers' | 'narrow'>): ExchangedBytes {
  const vector = layout.size * (narrow ? 2 : FLOAT_BYTES)
  const nodes = fairSpans(leaves, workers).reduce((sum, span) => sum + maximalNodes(leaves, span).length, 0)
  return { gradients: nodes * vector, weights: workers * vector }
}

/** Spans as equal as whole leaves allow. */
function fairSpans(leaves: number, workers: number): LeafRange[] {
  const count = Math.min(leaves, workers)
  return Array.from({ length: count }, (_, index) => {
    const first = Math.floor((index * leaves) / count)
    return { first, count: Math.floor(((index + 1) * leaves) / count) - first }
  })
}
