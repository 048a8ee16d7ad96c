import { CHUNK_FLOATS, chunksOf, type Slice } from '@lockstep/shared/parameters/layout.js'

/** One chunk of a node or of the weights: where it is in the flat vector and what it is called on the wire. */
export interface VectorChunk {
  readonly slice: number
  /** Number of the chunk within its slice. */
  readonly chunk: number
  /** First element in the flat vector. */
  readonly offset: number
  /** Elements. */
  readonly floats: number
}

/** Where chunk `chunk` of a slice lies in the flat vector. */
export function chunkOf(slice: Slice, chunk: number): VectorChunk {
  const start = chunk * CHUNK_FLOATS
  return { slice: slice.index, chunk, offset: slice.offset + start, floats: Math.min(CHUNK_FLOATS, slice.size - start) }
}

/** All chunks of one slice in order. */
export function chunksOfSlice(slice: Slice): VectorChunk[] {
  return Array.from({ length: chunksOf(slice) }, (_, chunk) => chunkOf(slice, chunk))
}
