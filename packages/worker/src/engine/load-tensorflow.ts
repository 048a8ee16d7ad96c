import { createRequire } from 'node:module'
import type * as tensorflow from '@tensorflow/tfjs-node-gpu'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** The TensorFlow module, by its own types. */
export type TensorFlow = typeof tensorflow

/** Backend calls that tfjs' public types leave out: an operation of TensorFlow by its name. */
interface NativeBackend {
  executeMultipleOutputs(
    name: string,
    attributes: readonly OperationAttribute[],
    inputs: readonly tensorflow.Tensor[],
    outputs: number,
  ): tensorflow.Tensor[]
  readonly isUsingGpuDevice: boolean
  readonly binding: {
    readonly TF_ATTR_TYPE: number
    readonly TF_ATTR_STRING: number
    readonly TF_ATTR_BOOL: number
    readonly TF_ATTR_FLOAT: number
    readonly TF_ATTR_INT: number
    readonly TF_FLOAT: number
    readonly TF_Version: string
  }
}

/** An attribute of an operation; `type` is one of the binding's TF_ATTR numbers. */
interface OperationAttribute {
  readonly name: string
  readonly type: number
  readonly value: number | string | boolean | readonly number[]
}

let loaded: TensorFlow | undefined

/**
 * TensorFlow, loaded at the first call (1.5 s) on the calling thread. The only place that imports it, because tfjs 4.22 calls
 * `util.isNullOrUndefined`, which Node 23 took away: it has to be back before the package loads.
 * @throws TrainError ENGINE_UNAVAILABLE when the package or its native library cannot be loaded
 */
export function loadTensorFlow(): TensorFlow {
  if (loaded !== undefined) return loaded
  const require = createRequire(import.meta.url)
  const util = require('node:util') as { isNullOrUndefined?: (value: unknown) => boolean }
  util.isNullOrUndefined ??= (value) => value === null || value === undefined
  try {
    loaded = require('@tensorflow/tfjs-node-gpu') as TensorFlow
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    throw new TrainError('ENGINE_UNAVAILABLE', `TensorFlow cannot be loaded (${reason}); run "npm run setup" again.`, { cause: error })
  }
  return loaded
}

/** TensorFlow's backend, for operations that tfjs does not offer by name. */
function nativeBackend(tf: TensorFlow): NativeBackend {
  return tf.backend() as unknown as NativeBackend
}

/** The value of an attribute; a number alone would leave open which kind of number TensorFlow wants. */
export type NativeAttribute = string | boolean | { readonly float: number } | { readonly integers: readonly number[] }

/**
 * An operation of TensorFlow on float32, by its name.
 * @param attributes besides its type T
 */
export function runNative(
  tf: TensorFlow,
  operation: string,
  inputs: readonly tensorflow.Tensor[],
  attributes: Readonly<Record<string, NativeAttribute>> = {},
): tensorflow.Tensor {
  const [output] = runNativeOutputs(tf, operation, inputs, attributes, 1)
  if (output === undefined) throw new TrainError('INTERNAL', `${operation} of TensorFlow gave nothing back; this is a bug`)
  return output
}

/** The same of an operation with several outputs. An attribute U is a type, float32 too. @param count its outputs */
export function runNativeOutputs(
  tf: TensorFlow,
  operation: string,
  inputs: readonly tensorflow.Tensor[],
  attributes: Readonly<Record<string, NativeAttribute>>,
  count: number,
): tensorflow.Tensor[] {
  const backend = nativeBackend(tf)
  const { TF_ATTR_TYPE, TF_FLOAT } = backend.binding
  const given = Object.entries(attributes).map(([name, value]) => attributeOf(backend.binding, name, value))
  return backend.executeMultipleOutputs(operation, [{ name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT }, ...given], inputs, count)
}

function attributeOf(binding: NativeBackend['binding'], name: string, value: NativeAttribute): OperationAttribute {
  if (name === 'U') return { name, type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT }
  if (typeof value === 'string') return { name, type: binding.TF_ATTR_STRING, value }
  if (typeof value === 'boolean') return { name, type: binding.TF_ATTR_BOOL, value }
  if ('float' in value) return { name, type: binding.TF_ATTR_FLOAT, value: value.float }
  return { name, type: binding.TF_ATTR_INT, value: value.integers }
}

/** Whether TensorFlow computes in the memory that we see too; it has copies of its own on a GPU. */
export function sharesOurMemory(tf: TensorFlow): boolean {
  return !nativeBackend(tf).isUsingGpuDevice
}

/** The version of TensorFlow's own library, to explain a difference between engines. */
export function tensorflowVersion(tf: TensorFlow): string {
  return nativeBackend(tf).binding.TF_Version
}
