import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ParameterLayout } from '../parameters/layout.js'
import { recipeSchema } from '../recipe/schema.js'
import { writeCheckpoint, type StateBytes } from './checkpoint-writer.js'
import { openCheckpoint, openTensorFile } from './checkpoint.js'
import type { UnsealedMetadata } from './metadata.js'
import { encodeHeader } from './safetensors.js'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-checkpoint-'))
  path = join(directory, 'step-00000007.safetensors')
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const layout: ParameterLayout = {
  size: 300_007,
  entries: [
    { name: 'conv/kernel', shape: [100, 3000], offset: 0, size: 300_000, kind: 'kernel' },
    { name: 'conv/bias', shape: [7], offset: 300_000, size: 7, kind: 'bias' },
  ],
}
const weights = Float32Array.from({ length: layout.size }, (_, i) => i / 7)
const velocity = Float32Array.from({ length: layout.size }, (_, i) => -i / 3)
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
const suffix = Buffer.from('{"nextStep":7,"word":"Größe"}')
const state: StateBytes = {
  weights: [bytesOf(weights.subarray(0, 1001)), bytesOf(weights.subarray(1001))],
  velocity: [bytesOf(velocity)],
  suffix,
}
const metadata: UnsealedMetadata = {
  format: 1,
  step: 7,
  run: 'run-1',
  seed: 1,
  recipe: recipeSchema.parse({ name: 'x', model: { name: 'vgg-a' }, data: { train: '/data' }, steps: 10 }),
  network: {
    name: 'vgg-a',
    inputShape: [32, 32, 3],
    classes: 2,
    layers: [{ type: 'dense', name: 'predictions', units: 2, activation: 'linear' }],
  },
  preprocessing: { inputSize: 32, classes: ['a', 'b'] },
  schedule: { rate: 0.01 },
  fingerprint: 'f'.repeat(64),
  dataDigest: 'd'.repeat(64),
  recipeDigest: 'e'.repeat(64),
}
const sha256 = (...parts: Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')

describe('checkpoint', () => {
  it('comes back as it was written, digests in it', async () => {
    const written = writeCheckpoint(path, layout, metadata, state)
    expect(written.weightsDigest).toBe(sha256(bytesOf(weights)))
    expect(written.stateDigest).toBe(sha256(bytesOf(weights), bytesOf(velocity), suffix))
    expect(readFileSync(path)).toHaveLength(written.bytes)
    expect(readdirSync(directory)).toEqual(['step-00000007.safetensors'])
    const checkpoint = await openCheckpoint(path)
    const { weightsDigest, stateDigest } = written
    expect(checkpoint.metadata).toEqual({ ...metadata, weightsDigest, stateDigest })
    expect(checkpoint.suffix).toEqual(suffix)
    expect([...checkpoint.tensors.keys()]).toEqual(['conv/kernel', 'conv/bias', 'velocity/conv/kernel', 'velocity/conv/bias'])
    expect(checkpoint.tensors.get('conv/kernel')?.shape).toEqual([100, 3000])
    expect(Buffer.compare(bytesOf(await checkpoint.read('conv/kernel')), bytesOf(weights.subarray(0, 300_000)))).toBe(0)
    expect(await checkpoint.read('velocity/conv/bias')).toEqual(velocity.slice(300_000))
    await expect(checkpoint.read('fc/kernel')).rejects.toMatchObject({ code: 'CHECKPOINT_MISMATCH' })
    await checkpoint.verify()
    await checkpoint.close()
  })

  it('has batch statistics among the weights, and no velocity of them', async () => {
    const shape = [7]
    const statistics = [{ name: 'bn/moving_mean', shape, offset: 300_000, size: 7, kind: 'movingMean' as const }]
    const normalized = { entries: [...layout.entries.slice(0, 1), ...statistics], size: layout.size }
    const written = writeCheckpoint(path, normalized, metadata, { ...state, velocity: [bytesOf(velocity.subarray(0, 300_000))] })
    expect(written.weightsDigest).toBe(sha256(bytesOf(weights)))
    expect(written.stateDigest).toBe(sha256(bytesOf(weights), bytesOf(velocity.subarray(0, 300_000)), suffix))
    const checkpoint = await openCheckpoint(path)
    expect([...checkpoint.tensors.keys()]).toEqual(['conv/kernel', 'bn/moving_mean', 'velocity/conv/kernel'])
    expect(await checkpoint.read('bn/moving_mean')).toEqual(weights.slice(300_000))
    await checkpoint.verify()
    await checkpoint.close()
  })

  it('replaces an older file whole', async () => {
    writeFileSync(path, 'old')
    writeCheckpoint(path, layout, metadata, state)
    const checkpoint = await openCheckpoint(path)
    await checkpoint.verify()
    await checkpoint.close()
  })

  it.each([
    ['weights', 5000, 'its weights do not'],
    ['velocity', layout.size * 4 + 5000, 'its velocity or schedule state do not'],
  ])('notices one changed bit of %s', async (_, at, what) => {
    const { bytes } = writeCheckpoint(path, layout, metadata, state)
    const contents = readFileSync(path)
    const position = bytes - layout.size * 8 + at
    contents[position] = (contents[position] ?? 0) ^ 1
    writeFileSync(path, contents)
    const checkpoint = await openCheckpoint(path)
    await expect(checkpoint.verify()).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining(what) as string,
    })
    await checkpoint.close()
  })

  it('refuses a file cut off anywhere, in one line with file and remedy', async () => {
    const { bytes } = writeCheckpoint(path, layout, metadata, state)
    for (const length of [bytes - 1, bytes - 4 * layout.size, 5000, 100, 7, 0]) {
      truncateSync(path, length)
      const opening = openCheckpoint(path)
      await expect(opening).rejects.toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringMatching(/^[^\n]*step-00000007[^\n]*; use another checkpoint[^\n]*$/) as string,
      })
    }
  })

  it('refuses what is missing, a directory, and metadata of another version', async () => {
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('does not exist') as string,
    })
    await expect(openCheckpoint(directory)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('not a file') as string,
    })
    writeFileSync(path, encodeHeader([], { lockstep: JSON.stringify({ ...metadata, format: 2 }) }))
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('another version') as string,
    })
    writeFileSync(path, encodeHeader([], { lockstep: '{' }))
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('damaged metadata') as string,
    })
  })

  it('opens safetensors from elsewhere as tensors only', async () => {
    const header = Buffer.from(
      JSON.stringify({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] }, b: { dtype: 'F16', shape: [1], data_offsets: [8, 10] } }),
    )
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    writeFileSync(path, Buffer.concat([length, header, bytesOf(Float32Array.of(1.5, -2)), Buffer.alloc(2)]))
    const file = await openTensorFile(path)
    expect(await file.read('a')).toEqual(Float32Array.of(1.5, -2))
    await expect(file.read('b')).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringContaining('float32') as string,
    })
    await file.close()
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('initialization.from') as string,
    })
  })
})

describe('a checkpoint that cannot be written', () => {
  it.runIf(existsSync('/dev/full'))('says that the disk is full, leaves nothing behind and the older one alone', () => {
    writeFileSync(path, 'older')
    symlinkSync('/dev/full', join(directory, '.step-00000007.safetensors.partial'))
    const write = (): unknown => writeCheckpoint(path, layout, metadata, state)
    expect(write).toThrow(
      expect.objectContaining({
        code: 'DISK',
        message: expect.stringMatching(/^[^\n]*step-00000007\.safetensors: the disk is full \(ENOSPC\); free space[^\n]*$/) as string,
      }),
    )
    expect(readdirSync(directory)).toEqual(['step-00000007.safetensors'])
    expect(readFileSync(path, 'utf8')).toBe('older')
  })

  it('names a folder that is not there', () => {
    const write = (): unknown => writeCheckpoint(join(directory, 'gone', 'x.safetensors'), layout, metadata, state)
    expect(write).toThrow(
      expect.objectContaining({ code: 'DISK', message: expect.stringContaining('see that the folder exists') as string }),
    )
  })
})
