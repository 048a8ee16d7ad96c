import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT
const DIGEST_BYTES = 32

export interface FeatureFolderOptions {
  readonly directory: string
  /** Names what is in the folder: part of every digest. */
  readonly key: string
  /** Floats of one picture. */
  readonly floats: number
  /** Pictures of a batch; the last may have fewer. */
  readonly batch: number
  /** Pictures in all. */
  readonly samples: number
}

/**
 * Features on disk, a file a batch: a row a picture as little-endian float32, then of every row the SHA-256 over key, number and row.
 * Written aside and renamed, so several processes may write the same at once; what is damaged counts as missing.
 */
export class FeatureFolder {
  /** Files of a whole folder. */
  readonly batches: number

  constructor(private readonly options: FeatureFolderOptions) {
    this.batches = Math.ceil(options.samples / options.batch)
  }

  /** Pictures of a batch. */
  rowsOf(batch: number): number {
    return Math.min(this.options.batch, this.options.samples - batch * this.options.batch)
  }

  /** Whether the file is there and every bit of it is what was written. */
  async isWhole(batch: number): Promise<boolean> {
    const bytes = await readFile(this.fileOf(batch)).catch(() => undefined)
    const rows = this.rowsOf(batch)
    if (bytes?.length !== rows * (this.rowBytes + DIGEST_BYTES)) return false
    return Array.from({ length: rows }, (_, row) => row).every((row) => {
      const digest = bytes.subarray(this.digestAt(batch, row), this.digestAt(batch, row) + DIGEST_BYTES)
      return this.digestOf(batch, row, bytes.subarray(row * this.rowBytes, (row + 1) * this.rowBytes)).equals(digest)
    })
  }

  /** @param values [rows, …]; padding after them is left out. @throws TrainError DISK */
  async write(batch: number, values: Float32Array): Promise<void> {
    const rows = this.rowsOf(batch)
    const bytes = Buffer.alloc(rows * (this.rowBytes + DIGEST_BYTES))
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, rows * this.rowBytes))
    for (let row = 0; row < rows; row++) {
      const own = bytes.subarray(row * this.rowBytes, (row + 1) * this.rowBytes)
      bytes.set(this.digestOf(batch, row, own), this.digestAt(batch, row))
    }
    const aside = `${this.fileOf(batch)}.${randomBytes(4).toString('hex')}`
    try {
      await mkdir(this.options.directory, { recursive: true })
      await writeFile(aside, bytes)
      await rename(aside, this.fileOf(batch))
    } catch (error) {
      await rm(aside, { force: true }).catch(() => undefined)
      throw new TrainError(
        'DISK',
        `the features of the frozen base cannot be kept in ${this.options.directory} (${String((error as NodeJS.ErrnoException).code)}): make room there, set XDG_CACHE_HOME to another disk, or leave out model.cacheFeatures`,
        { cause: error },
      )
    }
  }

  /** Copies the features of a picture. @returns false when they are not there or damaged, and then nothing is copied */
  async read(sample: number, into: Float32Array, offset: number): Promise<boolean> {
    const batch = Math.floor(sample / this.options.batch)
    const row = sample - batch * this.options.batch
    const handle = await open(this.fileOf(batch), 'r').catch(() => undefined)
    if (handle === undefined) return false
    try {
      const bytes = Buffer.alloc(this.rowBytes)
      const digest = Buffer.alloc(DIGEST_BYTES)
      await handle.read(bytes, 0, bytes.length, row * this.rowBytes)
      await handle.read(digest, 0, DIGEST_BYTES, this.digestAt(batch, row))
      if (!this.digestOf(batch, row, bytes).equals(digest)) return false
      new Uint8Array(into.buffer, into.byteOffset + offset * FLOAT_BYTES, bytes.length).set(bytes)
      return true
    } finally {
      await handle.close()
    }
  }

  private get rowBytes(): number {
    return this.options.floats * FLOAT_BYTES
  }

  /** Where the digest of a row stands in its file. */
  private digestAt(batch: number, row: number): number {
    return this.rowsOf(batch) * this.rowBytes + row * DIGEST_BYTES
  }

  private fileOf(batch: number): string {
    return join(this.options.directory, `batch-${String(batch).padStart(8, '0')}.f32`)
  }

  private digestOf(batch: number, row: number, bytes: Uint8Array): Buffer {
    const sample = batch * this.options.batch + row
    return createHash('sha256')
      .update(`${this.options.key} ${String(sample)}\n`)
      .update(bytes)
      .digest()
  }
}
