import { createHash } from 'node:crypto'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pack, type Pack } from 'tar-stream'
import type { DatasetDescription } from '@lockstep/shared/sampling/dataset-description.js'
import { encodeIndex, type IndexRecord } from './index-file.js'
import type { PreparedSample } from './prepared-sample.js'

const TAR_BLOCK = 512
const TAR_END_BYTES = 2 * TAR_BLOCK
/** Bytes an entry takes in a tar file: header, content, padding. */
const entryBytes = (length: number): number => TAR_BLOCK + Math.ceil(length / TAR_BLOCK) * TAR_BLOCK

interface OpenShard {
  readonly file: string
  readonly index: string
  readonly tar: Pack
  readonly written: Promise<{ bytes: number; sha256: string }>
  readonly firstSample: number
  readonly records: IndexRecord[]
  bytes: number
}

/**
 * Writes samples one after another into tar files that the webdataset tools read: `000000123.jpg` and `000000123.cls` (the class
 * number in decimal), numbered through all shards, with an index beside each. Owner, rights and times are constants, so equal
 * samples make equal files.
 */
export class ShardWriter {
  readonly shards: DatasetDescription['shards'][number][] = []
  private current: OpenShard | null = null
  private samples = 0

  /** @param shardBytes a new shard begins where this would be passed */
  constructor(
    private readonly directory: string,
    private readonly shardBytes: number,
  ) {}

  async add({ name, label, bytes, extension, crc }: PreparedSample): Promise<void> {
    const base = String(this.samples).padStart(9, '0')
    const cls = Buffer.from(String(label))
    const added = entryBytes(bytes.length) + entryBytes(cls.length)
    if (this.current !== null && this.current.bytes + added + TAR_END_BYTES > this.shardBytes) await this.finishShard()
    this.current ??= this.startShard()
    const shard = this.current
    shard.records.push({ offset: shard.bytes + TAR_BLOCK, length: bytes.length, label, crc, name })
    await addEntry(shard, `${base}.${extension}`, bytes)
    await addEntry(shard, `${base}.cls`, cls)
    shard.bytes += added
    this.samples++
  }

  async finish(): Promise<void> {
    if (this.current !== null) await this.finishShard()
  }

  /** Lets go of a half-written shard. */
  async abort(): Promise<void> {
    const shard = this.current
    this.current = null
    shard?.tar.destroy()
    await shard?.written.catch(() => undefined)
  }

  private startShard(): OpenShard {
    const base = `shard-${String(this.shards.length).padStart(6, '0')}`
    const tar = pack()
    const written = writeStream(tar, join(this.directory, `${base}.tar`))
    written.catch(() => undefined) // reported by the next entry or at the end
    return { file: `${base}.tar`, index: `${base}.idx`, tar, written, firstSample: this.samples, records: [], bytes: 0 }
  }

  private async finishShard(): Promise<void> {
    const shard = this.current
    if (shard === null) return
    shard.tar.finalize()
    const { bytes, sha256 } = await shard.written
    await writeFile(join(this.directory, shard.index), encodeIndex('shard', shard.firstSample, bytes, shard.records))
    this.shards.push({ file: shard.file, index: shard.index, samples: shard.records.length, bytes, sha256 })
    this.current = null
  }
}

/** Adds a file and waits until it was taken. When writing failed the stream is gone: the error told is the writing's own. */
async function addEntry(shard: OpenShard, name: string, bytes: Buffer): Promise<void> {
  const header = { name, size: bytes.length, mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'file' as const }
  try {
    await new Promise<void>((resolve, reject) => {
      const entry = shard.tar.entry(header, (error) => {
        if (error instanceof Error) reject(error)
        else resolve()
      })
      entry.on('error', reject)
      entry.end(bytes)
    })
  } catch (error) {
    await shard.written
    throw error
  }
}

async function writeStream(tar: Pack, path: string): Promise<{ bytes: number; sha256: string }> {
  const file = await open(path, 'wx')
  try {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of tar as AsyncIterable<Buffer>) {
      hash.update(chunk)
      for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten
      bytes += chunk.length
    }
    await file.sync()
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    await file.close()
  }
}
