import { TrainError, type TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import type { WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import type { UnsealedMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { Span, TracedSteps } from '@lockstep/shared/trace/span.js'
import type { LeafCopy, StepAudits } from './leaf-copies.js'
import type { SliceOptions } from './slice-state.js'
import type { Side, VersionBuffers } from './version-buffers.js'

/** What the averager's threads say to each other. */

export interface SliceThreadData {
  readonly options: SliceOptions
  readonly host: string
  readonly insecureNetwork: boolean
  /** One Int32 an outcome, in the order of OUTCOMES; shared by all slices. */
  readonly counters: SharedArrayBuffer
  /** One BigUint64: microseconds that all slices have spent on contributions. */
  readonly busy: SharedArrayBuffer
  /** The steps of which it tells what was done when; undefined: none. */
  readonly traced: TracedSteps | undefined
}

export type SliceRequest =
  | { readonly type: 'start' }
  | { readonly type: 'open'; readonly version: number }
  | {
      readonly type: 'beginStep'
      readonly step: number
      readonly rate: number
      readonly attempt: number
      readonly audits?: StepAudits | undefined
    }
  /** Where gradients are clipped: the factor that the whole gradient of the step is scaled by. */
  | { readonly type: 'update'; readonly factor: number }
  | { readonly type: 'commit'; readonly version: number }
  | { readonly type: 'drop'; readonly version: number }
  | { readonly type: 'skip'; readonly version: number }
  | { readonly type: 'pin' | 'unpin'; readonly side: Side }

export interface SliceReady {
  readonly port: number
  readonly memory: WasmMemory
  readonly buffers: VersionBuffers
}

/** What a slice tells unasked. `attempt` grows with every beginStep, so that news of a dropped one is known as such. */
export type SliceEvent =
  | { readonly type: 'covered'; readonly attempt: number; readonly first: number; readonly count: number }
  /** Where gradients are clipped: Σ g² of every chunk of the slice, in order. */
  | { readonly type: 'gathered'; readonly attempt: number; readonly sums: readonly number[] }
  | { readonly type: 'reduced'; readonly attempt: number; readonly finite: boolean; readonly statistics: NodeStatistics | undefined }

/** The same of audited leaves: one is whole on the slice. */
export interface SliceLeafCopy {
  readonly type: 'copied'
  readonly attempt: number
  readonly copy: LeafCopy
}

/** What a slice did since it last told. */
export interface SliceSpans {
  readonly type: 'spans'
  readonly spans: readonly Span[]
}

export type SliceNews = SliceEvent | SliceLeafCopy | SliceSpans

/** The memory of one slice, as the state thread sees it. */
export interface SliceMemory {
  readonly memory: WasmMemory
  readonly buffers: VersionBuffers
  /** Elements. */
  readonly size: number
}

export interface StateThreadData {
  readonly slices: readonly SliceMemory[]
  /** What is trained: the vector that the slices hold. */
  readonly layout: ParameterLayout
  /** Where some of the network is not trained. */
  readonly frozen?: FrozenState | undefined
}

/** What a checkpoint holds besides what the slices do. */
export interface FrozenState {
  /** The layout of the whole network. */
  readonly whole: ParameterLayout
  /** The flat vector of its frozen tensors, in memory that threads share. */
  readonly values: Float32Array<SharedArrayBuffer>
}

export type StateRequest =
  | { readonly type: 'digest'; readonly side: Side; readonly suffix: Uint8Array }
  | {
      readonly type: 'checkpoint'
      readonly side: Side
      readonly suffix: Uint8Array
      readonly path: string
      readonly metadata: UnsealedMetadata
    }

/** A question with a number, and its answer. */
export interface Numbered<Request> {
  readonly id: number
  readonly request: Request
}

export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: Fault }

/** An error on its way between threads, where classes are lost. */
export interface Fault {
  readonly code: TrainErrorCode | undefined
  readonly message: string
  readonly stack: string | undefined
}

export function faultOf(error: unknown): Fault {
  if (!(error instanceof Error)) return { code: undefined, message: String(error), stack: undefined }
  const code = error.name === 'TrainError' && 'code' in error ? (error.code as TrainErrorCode) : undefined
  return { code, message: error.message, stack: error.stack }
}

export function errorOf(fault: Fault): Error {
  const error = fault.code === undefined ? new Error(fault.message) : new TrainError(fault.code, fault.message)
  if (fault.stack !== undefined) error.stack = fault.stack
  return error
}
