import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { invariant } from '../errors/train-error.js'
import type { SharedBody } from '../protocol/generated/lockstep/v1/SharedBody.js'

/** Where files lie in memory. Linux only; elsewhere bodies travel inline. */
const MEMORY_FOLDER = '/dev/shm'

/**
 * A file in memory that a thread holds open, and that ends with it or when it is closed. It has no name; others open it through `/proc`, which
 * only processes of the same user and machine can.
 */
export class HeldFile {
  /** How other processes open it. */
  readonly path: string
  /** Tells it from a later file under the same path. */
  readonly inode: number
  #handle: number | undefined

  /** @param handle opened by node:fs, which closes what a thread leaves open */
  protected constructor(handle: number) {
    this.#handle = handle
    this.inode = fstatSync(handle).ino
    this.path = `/proc/${String(process.pid)}/fd/${String(handle)}`
  }

  protected get handle(): number {
    invariant(this.#handle !== undefined, 'a file in memory is used while it is open')
    return this.#handle
  }

  /** May be called twice: a number that was closed may be somebody else's by then. */
  close(): void {
    const handle = this.#handle
    this.#handle = undefined
    if (handle !== undefined) closeSync(handle)
  }
}

/**
 * A file in memory through which processes of one machine hand each other large bodies: a copy in and a copy out, instead
 * of serialization, a socket and back. It has no name from the moment it exists, so nothing is left behind however
 * its owner ends.
 */
export class MemoryFile extends HeldFile {
  /** @returns undefined where there is no memory to share files in */
  static create(): MemoryFile | undefined {
    const path = `${MEMORY_FOLDER}/lockstep-${randomBytes(12).toString('hex')}`
    try {
      const handle = openSync(path, 'wx+', 0o600)
      rmSync(path, { force: true })
      return new MemoryFile(handle)
    } catch {
      return undefined
    }
  }

  /** How a message names a part of it. */
  body(offset: number, bytes: number): { path: string; inode: number; offset: number; bytes: number } {
    return { path: this.path, inode: this.inode, offset, bytes }
  }

  /** Puts bytes somewhere into the file. @throws the system's error when memory is full */
  write(bytes: Uint8Array, offset: number): void {
    const { handle } = this
    for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done, bytes.length - done, offset + done)
  }
}

/** Nothing but what a process holds open is opened for somebody who asks over the network. */
export function isOpenFileOf(path: string): boolean {
  return /^\/proc\/\d+\/fd\/\d+$/.test(path)
}

/** Reads files that other processes hold in memory; keeps them open until closed. */
export class MemoryReader {
  readonly #handles = new Map<string, number>()

  /** Fills `into` from a body elsewhere. @returns false when it cannot be read: another machine, or its owner is gone */
  read({ path = '', offset = 0, inode = 0 }: SharedBody, into: Uint8Array): boolean {
    try {
      const key = `${path} ${String(inode)}`
      let handle = this.#handles.get(key)
      if (handle === undefined) {
        if (!isOpenFileOf(path)) return false
        handle = openSync(path, 'r')
        if (fstatSync(handle).ino !== Number(inode)) {
          closeSync(handle)
          return false
        }
        this.#handles.set(key, handle)
      }
      for (let done = 0; done < into.length;) {
        const count = readSync(handle, into, done, into.length - done, Number(offset) + done)
        if (count === 0) return false
        done += count
      }
      return true
    } catch {
      return false
    }
  }

  close(): void {
    for (const handle of this.#handles.values()) closeSync(handle)
    this.#handles.clear()
  }
}
