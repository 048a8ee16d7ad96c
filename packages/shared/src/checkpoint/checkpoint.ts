import { createHash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import { TrainError } from '../errors/train-error.js'
import { METADATA_KEY, SUFFIX_KEY, VELOCITY_PREFIX } from './checkpoint-writer.js'
import { checkpointMetadataSchema, type CheckpointMetadata } from './metadata.js'
import { decodeHeader, decodeHeaderLength, LENGTH_BYTES, type TensorInfo } from './safetensors.js'

/** Bytes read at once. */
const PIECE_BYTES = 4 * 1024 * 1024

/** An open safetensors file, of ours or from elsewhere. Tensors are read when asked for. */
export class TensorFile {
  readonly path: string
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** The strings in the file's own metadata. */
  readonly strings: Readonly<Record<string, string>>
  readonly #handle: FileHandle

  constructor(path: string, tensors: ReadonlyMap<string, TensorInfo>, strings: Readonly<Record<string, string>>, handle: FileHandle) {
    this.path = path
    this.tensors = tensors
    this.strings = strings
    this.#handle = handle
  }

  /**
   * One whole tensor, row-major.
   * @throws TrainError CHECKPOINT_MISMATCH if there is none of this name or it is not float32, CHECKPOINT_INVALID if the file shrank
   */
  async read(name: string): Promise<Float32Array> {
    const tensor = this.tensors.get(name)
    if (tensor === undefined)
      throw new TrainError('CHECKPOINT_MISMATCH', `${this.path} has no tensor ${name}; see \`lockstep inspect\` for those it has`)
    if (tensor.dtype !== 'F32') {
      throw new TrainError(
        'CHECKPOINT_MISMATCH',
        `tensor ${name} of ${this.path} is ${tensor.dtype}; convert the file to float32 (F32) first`,
      )
    }
    const values = new Float32Array(tensor.bytes / Float32Array.BYTES_PER_ELEMENT)
    const bytes = new Uint8Array(values.buffer)
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) await this.readBytes(bytes.subarray(at, at + PIECE_BYTES), tensor.offset + at)
    return values
  }

  /** Fills `bytes` from a position in the file. */
  protected async readBytes(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, position + done)
      if (bytesRead === 0)
        throw new TrainError('CHECKPOINT_INVALID', `${this.path} became shorter while it was read; use another checkpoint`)
      done += bytesRead
    }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** An open checkpoint of ours. */
export class Checkpoint extends TensorFile {
  readonly metadata: CheckpointMetadata
  /** The bytes that the state digest ends with: schedule state and next step, as its writer serialized them. */
  readonly suffix: Buffer

  constructor(metadata: CheckpointMetadata, suffix: Buffer, ...file: ConstructorParameters<typeof TensorFile>) {
    super(...file)
    this.metadata = metadata
    this.suffix = suffix
  }

  /** Reads everything and compares both digests. @throws TrainError CHECKPOINT_INVALID */
  async verify(): Promise<void> {
    const tensors = [...this.tensors]
    const hash = createHash('sha256')
    await this.#hash(
      hash,
      tensors.filter(([name]) => !name.startsWith(VELOCITY_PREFIX)),
    )
    const weightsDigest = hash.copy().digest('hex')
    await this.#hash(
      hash,
      tensors.filter(([name]) => name.startsWith(VELOCITY_PREFIX)),
    )
    const stateDigest = hash.update(this.suffix).digest('hex')
    if (weightsDigest === this.metadata.weightsDigest && stateDigest === this.metadata.stateDigest) return
    const what = weightsDigest === this.metadata.weightsDigest ? 'velocity or schedule state' : 'weights'
    throw new TrainError(
      'CHECKPOINT_INVALID',
      `${this.path} was changed or damaged: its ${what} do not have the digest it states; use another checkpoint`,
    )
  }

  async #hash(hash: ReturnType<typeof createHash>, tensors: readonly (readonly [string, TensorInfo])[]): Promise<void> {
    const piece = new Uint8Array(PIECE_BYTES)
    for (const [, tensor] of tensors) {
      for (let at = 0; at < tensor.bytes; at += PIECE_BYTES) {
        const part = piece.subarray(0, Math.min(PIECE_BYTES, tensor.bytes - at))
        await this.readBytes(part, tensor.offset + at)
        hash.update(part)
      }
    }
  }
}

/**
 * Opens any safetensors file, without asking what wrote it.
 * @throws TrainError CHECKPOINT_INVALID naming the file and the remedy
 */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const { handle, ...header } = await openHeader(path)
  return new TensorFile(path, header.tensors, header.metadata, handle)
}

/**
 * Opens a checkpoint of ours. Its digests are compared by `verify()` only.
 * @throws TrainError CHECKPOINT_INVALID naming the file and the remedy
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const { handle, ...header } = await openHeader(path)
  try {
    const metadata = parseMetadata(path, header.metadata[METADATA_KEY])
    return new Checkpoint(metadata, Buffer.from(header.metadata[SUFFIX_KEY] ?? ''), path, header.tensors, header.metadata, handle)
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function openHeader(path: string): Promise<ReturnType<typeof decodeHeader> & { handle: FileHandle }> {
  const handle = await open(path).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const why = code === 'ENOENT' ? 'it does not exist' : code
    throw new TrainError('CHECKPOINT_INVALID', `cannot open checkpoint ${path}: ${why}; check the path`, { cause: error })
  })
  try {
    const status = await handle.stat()
    if (!status.isFile())
      throw new TrainError('CHECKPOINT_INVALID', `${path} is not a file; name a .safetensors file, such as one of a run's checkpoints`)
    const prefix = Buffer.alloc(Math.min(LENGTH_BYTES, status.size))
    await handle.read(prefix, 0, prefix.length, 0)
    const json = Buffer.alloc(decodeHeaderLength(prefix, path, status.size))
    await handle.read(json, 0, json.length, LENGTH_BYTES)
    return { ...decodeHeader(json, path, status.size), handle }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function parseMetadata(path: string, text: string | undefined): CheckpointMetadata {
  if (text === undefined) {
    throw new TrainError(
      'CHECKPOINT_INVALID',
      `${path} was not written by Lockstep (it has no ${METADATA_KEY} metadata); \`lockstep import\` makes a checkpoint of it, and initialization.from takes it as it is`,
    )
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new TrainError('CHECKPOINT_INVALID', `${path} has damaged metadata; use another checkpoint`)
  }
  const parsed = checkpointMetadataSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue === undefined ? 'metadata' : `metadata.${issue.path.join('.')}: ${issue.message}`
  throw new TrainError(
    'CHECKPOINT_INVALID',
    `${path} comes from another version of Lockstep or is damaged (${where}); use the version that wrote it, or another checkpoint`,
  )
}
