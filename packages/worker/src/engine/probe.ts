import { createHash, type Hash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { fansOf } from '@lockstep/shared/initialization/parameters.js'
import { elementsOf } from '@lockstep/shared/models/shapes.js'
import type { Network } from '@lockstep/shared/models/network.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { uniformOf } from '@lockstep/shared/random/normal.js'
import { philox } from '@lockstep/shared/random/philox.js'
import { PURPOSE } from '@lockstep/shared/random/purposes.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { Batch } from './batch.js'
import type { Engine } from './engine.js'

export interface ProbeOptions {
  readonly network: Network
  readonly layout: ParameterLayout
  readonly seed: number
  readonly batch: Recipe['batch']
  /** Pictures of an evaluation batch. */
  readonly evaluationBatch: number
  /** Only where whole pictures are evaluated: their shorter sides. */
  readonly denseScales?: readonly number[]
  /** The frozen base's output is computed apart from the head, and kept. */
  readonly cachesFeatures?: boolean
}

export interface ProbeResult {
  /** SHA-256, hexadecimal: the engine fingerprint. */
  readonly fingerprint: string
  /** Seconds one leaf takes, measured after a first run. */
  readonly leafSeconds: number
  /** Only where features are cached: SHA-256 of what the base makes of pictures that are the same for every seed and every head. */
  readonly features?: string
}

/** What a stream of probe numbers is for: the second word of its counter. */
const KIND = { images: 0, labels: 1, evaluationImages: 2, wholePicture: 3, weights: 16 } as const

/**
 * The engine's fingerprint: a hash of what it makes of this network on pictures and weights that everyone can compute. Two
 * engines of one fingerprint give the same bits; versions and processors are not asked. Overwrites the engine's weights.
 * Hashes the gradients of a leaf's micro-batches one after the other (their sum would be weaker and take a vector more),
 * the soft-max of one evaluation batch, and of one whole picture a scale where the recipe evaluates such.
 */
export function probeFingerprint(engine: Engine, options: ProbeOptions): ProbeResult {
  const { network, batch, seed } = options
  engine.setWeights(probeWeights(options.layout, seed))
  const hash = createHash('sha256')
  let microBatchSeconds = 0
  const repeats = Math.max(2, batch.leaf)
  for (let index = 0; index < repeats; index++) {
    const micro = headed(engine, options, microBatch(options, index % batch.leaf))
    const started = performance.now()
    const result = engine.gradient(micro, (_, values) => {
      if (index < batch.leaf) hashFloats(hash, values)
    })
    if (index > 0) microBatchSeconds = (performance.now() - started) / 1000
    if (index < batch.leaf) hash.update(Float64Array.of(result.lossSum))
  }
  const images = new Float32Array(options.evaluationBatch * elementsOf(network.inputShape))
  fillUniform(images, seed, KIND.evaluationImages, 0, PIXEL_LIMIT)
  hashFloats(hash, engine.predict(images, options.evaluationBatch))
  for (const scale of options.denseScales ?? []) hashFloats(hash, engine.logSoftmax(wholePicture(scale, seed)))
  return {
    ...{ fingerprint: hash.digest('hex'), leafSeconds: microBatchSeconds * batch.leaf },
    ...(options.cachesFeatures === true ? { features: featuresDigest(engine, options) } : {}),
  }
}

/** The same micro-batch as a training has it: with features in the place of pictures where they are cached. */
function headed(engine: Engine, { cachesFeatures }: ProbeOptions, batch: Batch): Batch {
  return cachesFeatures === true ? { ...batch, images: engine.features(batch.images, batch.count), features: true } : batch
}

function featuresDigest(engine: Engine, options: ProbeOptions): string {
  const { images, count } = microBatch({ ...options, seed: 0 }, 0)
  const hash = createHash('sha256')
  hashFloats(hash, engine.features(images, count))
  return hash.digest('hex')
}

/** Input values of the probe lie in ±2, about where normalized pictures lie: large values would drown rounding differences. */
const PIXEL_LIMIT = 2

/** A picture as cameras make them, half as long again as it is high. */
function wholePicture(height: number, seed: number): { kind: 'dense'; images: Float32Array; shape: number[] } {
  const shape = [1, height, Math.floor(height * 1.5), 3]
  const images = new Float32Array(elementsOf(shape))
  fillUniform(images, seed, KIND.wholePicture, 0, PIXEL_LIMIT)
  return { kind: 'dense', images, shape }
}

function microBatch({ network, batch, seed }: ProbeOptions, index: number): Batch {
  const floats = elementsOf(network.inputShape)
  const firstPosition = index * batch.micro
  const images = new Float32Array(batch.micro * floats)
  fillUniform(images, seed, KIND.images, firstPosition * floats, PIXEL_LIMIT)
  const words = new Uint32Array(4)
  const labels = Int32Array.from({ length: batch.micro }, (_, sample) => {
    const position = firstPosition + sample
    philox(Math.floor(position / 4), KIND.labels, 0, 0, seed, PURPOSE.probe, words)
    return (words[position % 4] ?? 0) % network.classes
  })
  return { images, labels, count: batch.micro, firstPosition }
}

/**
 * Kernels uniform with He's variance, 2 / fan-in, so that no activation dies out; biases, betas and means small and not 0; gammas and
 * variances in 0.5 to 1.5.
 */
function probeWeights(layout: ParameterLayout, seed: number): Float32Array {
  const weights = new Float32Array(layout.size)
  layout.entries.forEach((entry, index) => {
    const values = weights.subarray(entry.offset, entry.offset + entry.size)
    const isFactor = entry.kind === 'gamma' || entry.kind === 'movingVariance'
    const limit = entry.kind === 'kernel' ? Math.sqrt(6 / fansOf(entry.shape)[0]) : isFactor ? 0.5 : 0.01
    fillUniform(values, seed, KIND.weights + index, 0, limit)
    if (isFactor) for (let at = 0; at < values.length; at++) values[at] = 1 + (values[at] ?? 0)
  })
  return weights
}

/** Numbers `first`, `first` + 1, … of a stream of uniform numbers in ±limit. */
function fillUniform(destination: Float32Array, seed: number, kind: number, first: number, limit: number): void {
  const words = new Uint32Array(4)
  let block = -1
  for (let offset = 0; offset < destination.length; offset++) {
    const index = first + offset
    if (Math.floor(index / 4) !== block) {
      block = Math.floor(index / 4)
      philox(block, kind, 0, 0, seed, PURPOSE.probe, words)
    }
    destination[offset] = limit * (2 * uniformOf(words[index % 4] ?? 0) - 1)
  }
}

function hashFloats(hash: Hash, values: Float32Array): void {
  hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}
