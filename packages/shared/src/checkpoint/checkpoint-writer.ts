import { createHash } from 'node:crypto'
import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { invariant, TrainError } from '../errors/train-error.js'
import { isStatistic, velocityFloats, type ParameterLayout } from '../parameters/layout.js'
import type { UnsealedMetadata } from './metadata.js'
import { encodeHeader } from './safetensors.js'

/** Bytes hashed and written at once: small enough to stay in the processor's cache between the two. */
const PIECE_BYTES = 1024 * 1024

/** Key of our JSON in a file's metadata, and of the bytes that the state digest ends with. */
export const METADATA_KEY = 'lockstep'
export const SUFFIX_KEY = 'lockstep.state'
/** What stands before the name of a parameter in the name of its velocity. */
export const VELOCITY_PREFIX = 'velocity/'

/** The state of a version as consecutive ranges of little-endian float32. */
export interface StateBytes {
  /** The whole flat vector: parameters, then batch statistics. */
  readonly weights: readonly Uint8Array[]
  /** The same without batch statistics and frozen tensors, which have none. */
  readonly velocity: readonly Uint8Array[]
  /** UTF-8: schedule state and next step, as the caller serializes them. */
  readonly suffix: Uint8Array
}

export interface StateDigests {
  /** SHA-256 over the flat weights, batch statistics included, hex. */
  readonly weightsDigest: string
  /** SHA-256 over weights ‖ velocity ‖ suffix, hex. */
  readonly stateDigest: string
}

function* piecesOf(ranges: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const range of ranges) {
    for (let at = 0; at < range.length; at += PIECE_BYTES) yield range.subarray(at, at + PIECE_BYTES)
  }
}

/** Hashes a state, handing every piece of it to `each` while it is at hand. */
export function digestState(state: StateBytes, each: (piece: Uint8Array) => void = () => undefined): StateDigests {
  const hash = createHash('sha256')
  const take = (ranges: readonly Uint8Array[]): void => {
    for (const piece of piecesOf(ranges)) {
      hash.update(piece)
      each(piece)
    }
  }
  take(state.weights)
  const weightsDigest = hash.copy().digest('hex')
  take(state.velocity)
  return { weightsDigest, stateDigest: hash.update(state.suffix).digest('hex') }
}

/** The header of a checkpoint: parameters and batch statistics by their names in layout order, then the velocities of those that are trained. */
function headerOf(layout: ParameterLayout, metadata: UnsealedMetadata, digests: StateDigests, suffix: Uint8Array): Buffer {
  const velocity = layout.entries
    .filter(({ kind, frozen }) => !isStatistic(kind) && frozen !== true)
    .map(({ name, shape }) => ({ name: VELOCITY_PREFIX + name, shape }))
  return encodeHeader([...layout.entries, ...velocity], {
    [METADATA_KEY]: JSON.stringify({ ...metadata, ...digests }),
    [SUFFIX_KEY]: Buffer.from(suffix).toString('utf8'),
  })
}

/**
 * Writes a checkpoint: aside first, then fsync, rename, fsync of the directory, so that a file of this name is always
 * whole. Synchronous: it belongs into a thread that has nothing else to do.
 * @throws TrainError DISK naming file and remedy; nothing half-written stays
 */
export function writeCheckpoint(
  path: string,
  layout: ParameterLayout,
  metadata: UnsealedMetadata,
  state: StateBytes,
): StateDigests & { bytes: number } {
  const partial = join(dirname(path), `.${basename(path)}.partial`)
  try {
    const written = writeAside(partial, layout, metadata, state)
    renameSync(partial, path)
    syncDirectory(dirname(path))
    return written
  } catch (error) {
    rmSync(partial, { force: true })
    throw diskError(path, error)
  }
}

function writeAside(
  partial: string,
  layout: ParameterLayout,
  metadata: UnsealedMetadata,
  state: StateBytes,
): StateDigests & { bytes: number } {
  const unknown = '0'.repeat(64)
  const { length } = headerOf(layout, metadata, { weightsDigest: unknown, stateDigest: unknown }, state.suffix)
  const file = openSync(partial, 'w')
  try {
    let at = length
    const digests = digestState(state, (piece) => {
      writeFully(file, piece, at)
      at += piece.length
    })
    const floats = layout.size + velocityFloats(layout)
    invariant(at - length === floats * Float32Array.BYTES_PER_ELEMENT, 'a state has as many floats as its layout')
    const header = headerOf(layout, metadata, digests, state.suffix)
    invariant(header.length === length, 'digests do not change the length of a header')
    writeFully(file, header, 0)
    fsyncSync(file)
    return { ...digests, bytes: at }
  } finally {
    closeSync(file)
  }
}

function writeFully(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, position + done)
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, constants.O_RDONLY)
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

function diskError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return error
  const code = String(error.code)
  const remedy = FULL.has(code)
    ? `the disk is full (${code}); free space or lower run.checkpoint.keep, then resume from the checkpoint before`
    : `${code}; see that the folder exists and may be written to, then resume from the checkpoint before`
  return new TrainError('DISK', `cannot write checkpoint ${path}: ${remedy}`, { cause: error })
}
