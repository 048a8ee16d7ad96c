/**
 * The flat vector: every parameter of a network one after the other, in network order (kernel, bias, gamma, beta), then
 * batch statistics, which are state and no parameters. All sides agree on offsets because all compute them from the same network.
 */
export interface ParameterEntry {
  /** Keras layer name and role: `block1_conv1/kernel`, `fc1/bias`, `conv1_bn/moving_mean`. */
  readonly name: string
  /** kernel: HWIO for convolutions, in × out for dense layers. */
  readonly shape: readonly number[]
  /** First element in the flat vector. */
  readonly offset: number
  /** Elements: the product of `shape`. */
  readonly size: number
  readonly kind: 'kernel' | 'bias' | 'gamma' | 'beta' | 'movingMean' | 'movingVariance'
  /** It stays as it is: no gradient, no velocity, and it does not travel. */
  readonly frozen?: true
}

export interface ParameterLayout {
  readonly entries: readonly ParameterEntry[]
  /** Elements of the flat vector. */
  readonly size: number
}

/** Whether entries of this kind are batch statistics: state that micro-batches renew, without gradient, velocity or decay. */
export function isStatistic(kind: ParameterEntry['kind']): boolean {
  return kind === 'movingMean' || kind === 'movingVariance'
}

/** Elements of all parameters: batch statistics stand after them, at the end of the vector. */
export function parameterFloats({ entries }: Pick<ParameterLayout, 'entries'>): number {
  return entries.reduce((sum, { kind, size }) => (isStatistic(kind) ? sum : sum + size), 0)
}

/** Elements that have a velocity: those of all parameters that are trained. */
export function velocityFloats({ entries }: Pick<ParameterLayout, 'entries'>): number {
  return parameterFloats(trainedPart({ entries, size: 0 }))
}

/** The vector of what is trained, which gradients and weights travel as: the same tensors in the same order without the frozen ones. */
export function trainedPart({ entries }: ParameterLayout): ParameterLayout {
  return packed(entries.filter(({ frozen }) => frozen !== true))
}

/** The vector of what is not trained. */
export function frozenPart({ entries }: ParameterLayout): ParameterLayout {
  return packed(entries.filter(({ frozen }) => frozen === true))
}

function packed(entries: readonly ParameterEntry[]): ParameterLayout {
  let size = 0
  const moved = entries.map((entry) => {
    const offset = size
    size += entry.size
    return { ...entry, offset }
  })
  return { entries: moved, size }
}

/** Elements of a chunk of a slice: 1 MiB of float32. gRPC over HTTP/2 is fastest with messages of 1 to 4 MiB. */
export const CHUNK_FLOATS = 262_144

/** A contiguous range of the flat vector: a slice of it, owned by one averager thread. */
export interface Slice {
  readonly index: number
  readonly offset: number
  readonly size: number
}

/** Splits a vector of `size` elements into `count` slices, cut at whole chunks where the vector is long enough. */
export function slicesOf(size: number, count: number): Slice[] {
  const chunks = Math.ceil(size / CHUNK_FLOATS)
  const used = Math.max(1, Math.min(count, chunks))
  return Array.from({ length: used }, (_, index) => {
    const offset = Math.floor((index * chunks) / used) * CHUNK_FLOATS
    const end = index === used - 1 ? size : Math.floor(((index + 1) * chunks) / used) * CHUNK_FLOATS
    return { index, offset, size: end - offset }
  })
}

/** Number of chunks of a slice. */
export function chunksOf(slice: Slice): number {
  return Math.ceil(slice.size / CHUNK_FLOATS)
}
