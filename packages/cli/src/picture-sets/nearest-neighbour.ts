import { TrainError, invariant } from '@lockstep/shared/errors/train-error.js'

/**
 * The plainest classifier there is, as a yardstick: a picture gets the class of the training picture whose raw pixels are
 * nearest (squared Euclidean distance, in integers, so exact; of equally near ones the first). A network has to beat it.
 */

/** Pictures as rows of raw values. */
export interface PixelRows {
  /** [count, values a row], 0–255 */
  readonly pixels: Uint8Array
  readonly labels: ArrayLike<number>
}

/** Values compared before looking whether the sum is already larger than the best. */
const STRETCH = 64
/** Queries between two breaths, in which timers and signals are served. */
const QUERIES_A_BREATH = 25

/** Index of the nearest row of `train` to one query row. */
export function nearestRow(train: Uint8Array, rowLength: number, query: Uint8Array): number {
  const rows = train.length / rowLength
  let best = Number.MAX_SAFE_INTEGER
  let nearest = 0
  for (let row = 0; row < rows; row++) {
    const offset = row * rowLength
    let distance = 0
    for (let from = 0; from < rowLength && distance < best; from += STRETCH) {
      const to = Math.min(from + STRETCH, rowLength)
      for (let at = from; at < to; at++) {
        const difference = (train[offset + at] ?? 0) - (query[at] ?? 0)
        distance += difference * difference
      }
    }
    if (distance < best) {
      best = distance
      nearest = row
    }
  }
  return nearest
}

/**
 * Share of queries whose nearest neighbour has their class.
 * @returns top1 in [0, 1] and the seconds it took
 * @throws TrainError INTERRUPTED
 */
export async function nearestNeighbourTop1(
  train: PixelRows,
  queries: PixelRows,
  options: { readonly onProgress?: (done: number, total: number) => void; readonly signal?: AbortSignal | undefined } = {},
): Promise<{ top1: number; seconds: number }> {
  const count = queries.labels.length
  const rowLength = train.pixels.length / train.labels.length
  invariant(
    Number.isInteger(rowLength) && queries.pixels.length === count * rowLength,
    'rows of training and query pictures have one length',
  )
  const started = performance.now()
  let correct = 0
  for (let query = 0; query < count; query++) {
    const row = queries.pixels.subarray(query * rowLength, (query + 1) * rowLength)
    if (train.labels[nearestRow(train.pixels, rowLength, row)] === queries.labels[query]) correct++
    if (query % QUERIES_A_BREATH === 0) {
      if (options.signal?.aborted === true) throw new TrainError('INTERRUPTED', 'stopped while comparing pixels')
      options.onProgress?.(query, count)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { top1: correct / count, seconds: (performance.now() - started) / 1000 }
}
