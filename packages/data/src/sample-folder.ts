import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from '@node-rs/crc32'
import { invariant, TrainError } from '@lockstep/shared/errors/train-error.js'
import { datasetDescriptionSchema, type DatasetDescription } from '@lockstep/shared/sampling/dataset-description.js'
import { datasetDigest } from './dataset-digest.js'
import { IndexFile } from './index-file.js'

/** Samples in a fixed order, each readable by its number at any time. */
export interface SampleSource {
  readonly size: number
  /** Class of sample `i`. */
  label(i: number): number
  /** The encoded picture, CRC checked. @throws TrainError DATA_CORRUPT naming file, record and sample */
  read(i: number): Promise<Buffer>
  /** Path of the picture relative to the class folders' parent, as `cat/one.jpg`. */
  name(i: number): string
  /** Where the sample is kept, for messages: file and record. */
  place(i: number): string
  /** Samples in each shard, in order, for the block shuffle; undefined for plain folders. */
  readonly blocks: readonly number[] | undefined
}

interface Part {
  readonly index: IndexFile
  /** Number of its first sample in the folder. */
  readonly first: number
  /** The shard; for a plain folder the folder, whose records are files of their own. */
  readonly path: string
}

export const DESCRIPTION_FILE = 'dataset.json'
const COPY_AGAIN = 'copy it again, or pack the folder again with `lockstep pack`'

/** A data set opened for reading: a packed folder, or a plain folder with the index that was made of it. One reader serves both. */
export class SampleFolder implements SampleSource {
  private readonly handles = new Map<string, Promise<FileHandle>>()

  /** @param path the folder a person named */
  constructor(
    readonly path: string,
    readonly description: DatasetDescription,
    private readonly parts: readonly Part[],
  ) {}

  get size(): number {
    return this.description.samples
  }

  get blocks(): readonly number[] | undefined {
    return this.description.kind === 'shards' ? this.parts.map((part) => part.index.size) : undefined
  }

  label(i: number): number {
    const { part, record } = this.locate(i)
    return part.index.label(record)
  }

  crc(i: number): number {
    const { part, record } = this.locate(i)
    return part.index.crc(record)
  }

  /** Bytes of the encoded picture. */
  length(i: number): number {
    const { part, record } = this.locate(i)
    return part.index.length(record)
  }

  name(i: number): string {
    const { part, record } = this.locate(i)
    return part.index.name(record)
  }

  place(i: number): string {
    const { part, record } = this.locate(i)
    const name = part.index.name(record)
    return part.index.kind === 'folder' ? join(part.path, name) : `record ${String(record)} (${name}) of ${part.path}`
  }

  async read(i: number): Promise<Buffer> {
    const { part, record } = this.locate(i)
    const bytes =
      part.index.kind === 'folder'
        ? await this.readPlain(i, join(part.path, part.index.name(record)))
        : await this.readShard(i, part, record)
    if (bytes.length !== part.index.length(record) || crc32(bytes) !== part.index.crc(record)) {
      const remedy =
        part.index.kind === 'folder' ? 'start again, so that the folder is read anew' : `the shard was damaged or changed: ${COPY_AGAIN}`
      throw new TrainError('DATA_CORRUPT', `${this.place(i)} has other bytes than its index says (CRC-32): ${remedy}`)
    }
    return bytes
  }

  async close(): Promise<void> {
    const handles = [...this.handles.values()]
    this.handles.clear()
    await Promise.all(handles.map(async (handle) => (await handle).close()))
  }

  private async readPlain(i: number, file: string): Promise<Buffer> {
    try {
      return await readFile(file)
    } catch (error) {
      throw new TrainError(
        'DATA_CORRUPT',
        `${this.place(i)} can no longer be read (${String((error as NodeJS.ErrnoException).code)}): start again, so that the folder is read anew`,
      )
    }
  }

  private async readShard(i: number, part: Part, record: number): Promise<Buffer> {
    let opening = this.handles.get(part.path)
    if (opening === undefined) {
      opening = open(part.path, 'r')
      this.handles.set(part.path, opening)
    }
    try {
      const bytes = Buffer.allocUnsafeSlow(part.index.length(record))
      const { bytesRead } = await (await opening).read(bytes, 0, bytes.length, part.index.offset(record))
      return bytes.subarray(0, bytesRead)
    } catch (error) {
      throw new TrainError(
        'DATA_CORRUPT',
        `${this.place(i)} cannot be read (${String((error as NodeJS.ErrnoException).code)}): ${COPY_AGAIN}`,
      )
    }
  }

  private locate(i: number): { part: Part; record: number } {
    invariant(i >= 0 && i < this.size, 'a sample is asked for by a number within its data set')
    let [low, high] = [0, this.parts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.parts[middle]?.first ?? Infinity) <= i) low = middle
      else high = middle - 1
    }
    const part = this.parts[low]
    invariant(part !== undefined, 'a data set has parts')
    return { part, record: i - part.first }
  }
}

/** Reads `dataset.json` of `directory`; null when there is none. @throws TrainError DATA_CORRUPT when it is not one */
export async function readDescription(directory: string): Promise<DatasetDescription | null> {
  const file = join(directory, DESCRIPTION_FILE)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw new TrainError('DATA_MISSING', `${file} cannot be read (${String(code)}): check its permissions`)
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new TrainError('DATA_CORRUPT', `${file} is not valid JSON: ${COPY_AGAIN}`)
  }
  const parsed = datasetDescriptionSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new TrainError(
    'DATA_CORRUPT',
    `${file} is not a data set this version reads (${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}): pack the folder again with \`lockstep pack\``,
  )
}

/**
 * Opens what `description` describes and checks that it is whole: every index, the size of every shard, the digest.
 * @param directory where dataset.json and the indexes lie; @param path the folder a person named (where plain pictures lie)
 * @throws TrainError DATA_CORRUPT naming the file that is missing, cut short or does not belong
 */
export async function openDescribed(directory: string, path: string, description: DatasetDescription): Promise<SampleFolder> {
  const parts: Part[] = []
  let first = 0
  for (const shard of description.shards) {
    const indexPath = join(directory, shard.index)
    const bytes = await readFile(indexPath).catch((error: unknown) => {
      throw new TrainError('DATA_CORRUPT', `${indexPath} cannot be read (${String((error as NodeJS.ErrnoException).code)}): ${COPY_AGAIN}`)
    })
    const index = new IndexFile(bytes, indexPath)
    if (index.size !== shard.samples || index.firstSample !== first)
      throw new TrainError('DATA_CORRUPT', `${indexPath} belongs to another data set: ${COPY_AGAIN}`)
    if (description.kind === 'shards') await checkShard(join(directory, shard.file), index.dataBytes)
    parts.push({ index, first, path: description.kind === 'shards' ? join(directory, shard.file) : path })
    first += index.size
  }
  const digest = datasetDigest(description.classes, digestedSamples(parts))
  if (first !== description.samples || digest !== description.digest) {
    throw new TrainError('DATA_CORRUPT', `the indexes in ${directory} do not belong to its ${DESCRIPTION_FILE}: ${COPY_AGAIN}`)
  }
  return new SampleFolder(path, description, parts)
}

function* digestedSamples(parts: readonly Part[]): Generator<{ label: number; crc: number; length: number }> {
  for (const { index } of parts) {
    for (let i = 0; i < index.size; i++) yield { label: index.label(i), crc: index.crc(i), length: index.length(i) }
  }
}

async function checkShard(path: string, bytes: number): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found === null) throw new TrainError('DATA_CORRUPT', `the shard ${path} is missing: ${COPY_AGAIN}`)
  if (found.size === bytes) return
  const how = found.size < bytes ? 'was cut short' : 'has grown'
  throw new TrainError(
    'DATA_CORRUPT',
    `the shard ${path} ${how}: it has ${String(found.size)} bytes, its index says ${String(bytes)}; ${COPY_AGAIN}`,
  )
}
