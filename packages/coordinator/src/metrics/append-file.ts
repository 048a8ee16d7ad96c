import { open, type FileHandle } from 'node:fs/promises'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

const FLUSH_MS = 1_000

/**
 * A file that only grows, written at most once a second: cheap enough for thousands of steps a second. Each write is
 * whole records; one that fails half way (disk full) is cut off again and tried with the next, so no record is torn or
 * lost while the process lives.
 */
export class AppendFile {
  readonly path: string
  readonly #file: FileHandle
  #size: number
  #pending: Buffer[] = []
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #failure: Error | undefined
  #closed = false

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path
    this.#file = file
    this.#size = size
  }

  /** Opens for appending, made if missing. @throws TrainError DISK */
  static async open(path: string): Promise<AppendFile> {
    try {
      const file = await open(path, 'a', 0o640)
      return new AppendFile(path, file, (await file.stat()).size)
    } catch (error) {
      throw diskError(path, error)
    }
  }

  /** The last write's failure; undefined when the last one went well. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Adds a whole record; it is on its way to the file within a second. */
  append(record: string | Uint8Array): void {
    if (this.#closed) return
    this.#pending.push(typeof record === 'string' ? Buffer.from(record) : Buffer.from(record))
    this.#timer ??= setTimeout(() => {
      this.flush().catch(() => undefined) // kept, and tried again with the next record
    }, FLUSH_MS)
  }

  /** Writes what has gathered. @throws TrainError DISK; what was not written is kept */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write())
    await this.#writing
  }

  /** Writes the rest and closes. @throws TrainError DISK when the rest could not be written */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.flush()
    } finally {
      await this.#file.close()
    }
  }

  async #write(): Promise<void> {
    if (this.#pending.length === 0) return
    const records = this.#pending
    this.#pending = []
    const content = Buffer.concat(records)
    try {
      await this.#file.appendFile(content)
      this.#size += content.length
      this.#failure = undefined
    } catch (error) {
      this.#pending = [content, ...this.#pending]
      await this.#file.truncate(this.#size).catch(() => undefined)
      this.#failure = diskError(this.path, error)
      throw this.#failure
    }
  }
}

function diskError(path: string, error: unknown): TrainError {
  const reason = error instanceof Error ? error.message : String(error)
  return new TrainError('DISK', `cannot write ${path} (${reason}): free some space, then resume the run`, { cause: error })
}
