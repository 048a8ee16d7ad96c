import { createRequire } from 'node:module'

/** What native/memory.c offers: 0, a handle or a count, or the negative number of the system's error. */
export interface NativeMemory {
  create(bytes: number): number
  close(handle: number): number
  map(view: Uint8Array, handle: number, offset: number, writable: boolean): number
  unmap(view: Uint8Array): number
  copy(target: Uint8Array, source: Uint8Array): number
}

let loaded: NativeMemory | null | undefined

/** @returns null on another system than Linux: everything works without it, more slowly */
export function nativeMemory(): NativeMemory | null {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)('./memory.node') as NativeMemory
    } catch {
      loaded = null
    }
  }
  return loaded
}

/** Below this a call costs more than it saves. */
const NATIVE_FROM_BYTES = 4096

/**
 * Copies bytes to the beginning of `target`. JavaScript's own `set` copies word by word where one side is shared memory, and byte by byte
 * where the two are aligned differently, as bodies of messages are: many times slower.
 * @param target at least as long as the source
 */
export function copyBytes(target: Uint8Array, source: Uint8Array): void {
  if (source.length < NATIVE_FROM_BYTES || nativeMemory()?.copy(target, source) !== source.length) target.set(source)
}

/** A copy in ordinary memory. */
export function copyOf(source: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(source.length)
  copyBytes(copy, source)
  return copy
}
