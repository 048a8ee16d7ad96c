import { closeSync, fstatSync, openSync } from 'node:fs'
import { invariant } from '../errors/train-error.js'
import type { WasmMemory } from '../kernels/web-assembly.js'
import { HeldFile, isOpenFileOf } from './memory-file.js'
import { nativeMemory, type NativeMemory } from './native-memory.js'

/**
 * Pages that several processes of one machine see at once, inside WebAssembly memories: what one computes into, another adds from, without a
 * copy between them. Linux only; elsewhere nothing can be shared this way, and callers copy.
 */

/** Whole pages of every system: blocks begin and end at multiples of it. */
export const BLOCK_ALIGNMENT = 65_536

/** Names a block for other processes. */
export interface SharedFile {
  readonly path: string
  readonly inode: number
}

/** `bytes` as whole pages. */
export function wholePages(bytes: number): number {
  return Math.ceil(bytes / BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT
}

function viewOf(memory: WasmMemory, offset: number, bytes: number): Uint8Array {
  invariant(offset % BLOCK_ALIGNMENT === 0 && bytes % BLOCK_ALIGNMENT === 0, 'only whole pages are mapped')
  return new Uint8Array(memory.buffer, offset, bytes)
}

/**
 * Pages of a memory that other processes can map. They are shared for as long as somebody has them, whatever becomes of their maker; once it is
 * closed nobody else can map it.
 */
export class SharedBlock extends HeldFile implements SharedFile {
  /**
   * Makes whole pages of a memory shared; they are zero afterwards, and were some other block's before or nobody's.
   * @param offset byte offset, a multiple of {@link BLOCK_ALIGNMENT} like `bytes`
   * @returns undefined where that cannot be, or when memory is short; nothing has changed then
   */
  static create(memory: WasmMemory, offset: number, bytes: number): SharedBlock | undefined {
    const native = nativeMemory()
    if (native === null) return undefined
    const handle = created(native, bytes)
    if (handle === undefined) return undefined
    if (native.map(viewOf(memory, offset, bytes), handle, 0, true) === 0) return new SharedBlock(handle)
    closeSync(handle)
    return undefined
  }
}

/** A new file, opened once more by node:fs: what a thread opens that way is closed when it ends, and with it the memory is free. */
function created(native: NativeMemory, bytes: number): number | undefined {
  const handle = native.create(bytes)
  if (handle < 0) return undefined
  try {
    return openSync(`/proc/self/fd/${String(handle)}`, 'r+')
  } catch {
    return undefined
  } finally {
    native.close(handle)
  }
}

/**
 * Maps a part of another process's block over whole pages of a memory.
 * @param from byte offset in the block
 * @param writable needed where the memory grows: the system checks the whole of it then
 * @returns whether it could be; if not, nothing has changed
 */
export function mapBlock(
  memory: WasmMemory,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
  { path, inode }: SharedFile,
  from: number,
  writable: boolean,
): boolean {
  const native = nativeMemory()
  if (native === null || !isOpenFileOf(path)) return false
  let handle: number | undefined
  try {
    handle = openSync(path, writable ? 'r+' : 'r')
    return fstatSync(handle).ino === inode && native.map(viewOf(memory, offset, bytes), handle, from, writable) === 0
  } catch {
    return false // another machine, or its owner is gone
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** Gives mapped pages back: they are the memory's own again, and zero. */
export function unmapBlock(memory: WasmMemory, { offset, bytes }: { readonly offset: number; readonly bytes: number }): void {
  const failed = nativeMemory()?.unmap(viewOf(memory, offset, bytes))
  invariant(failed === 0, 'pages that were mapped can be given back')
}
