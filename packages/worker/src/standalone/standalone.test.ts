import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import { EvaluationLoader } from '@lockstep/data/evaluation-loader.js'
import { openFolder } from '@lockstep/data/open-folder.js'
import type { Preprocessing } from '@lockstep/data/preprocessing.js'
import { writeCheckpoint } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { recipeSchema } from '@lockstep/shared/recipe/schema.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Engine } from '../engine/engine.js'
import { oneThread, weightsOf } from '../engine/test-networks.js'
import { evaluateCheckpoint } from './evaluate-checkpoint.js'
import { mostProbable } from './prediction.js'
import { predictImages } from './predict-images.js'

oneThread()

const CLASSES = ['blue', 'green', 'red']
const recipe = recipeSchema.parse({
  name: 'colors',
  model: { name: 'vgg-a', width: 0.05, inputSize: 32, fullyConnected: [8] },
  data: { train: 'pictures' },
  batch: { global: 4, micro: 4 },
  evaluation: { batch: 4 },
  steps: 1,
})
const network = networkOf(recipe.model, CLASSES.length)
const layout = layoutOf(network)
const weights = weightsOf(network)
const preprocessing: Preprocessing = {
  inputSize: 32,
  scale: 36,
  normalize: 'meanAndStd',
  mean: [100, 110, 120],
  std: [50, 60, 70],
  classes: CLASSES,
}

let directory: string
const at = (name: string): string => join(directory, name)

/** A picture of 40 × 40 pixels, in a colour with some pattern, as PNG. */
function picture(red: number, green: number, blue: number): Buffer {
  const side = 40
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data])
    const frame = Buffer.alloc(8)
    frame.writeUInt32BE(data.length, 0)
    frame.writeUInt32BE(crc32(body), 4)
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)])
  }
  const header = Buffer.from([0, 0, 0, side, 0, 0, 0, side, 8, 2, 0, 0, 0])
  const rows = Buffer.concat(
    Array.from({ length: side }, (_, row) =>
      Buffer.from([0, ...Array.from({ length: side }, (__, x) => [red, green, (blue + row * x) % 256]).flat()]),
    ),
  )
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}

async function writePictures(folder: string, classes: readonly string[]): Promise<void> {
  for (const [index, name] of classes.entries()) {
    await mkdir(at(`${folder}/${name}`), { recursive: true })
    for (const shade of [40, 120, 200]) {
      const color = [0, 1, 2].map((channel) => (channel === 2 - index ? shade : 20 + shade / 10)) as [number, number, number]
      await writeFile(at(`${folder}/${name}/${String(shade)}.png`), picture(...color))
    }
  }
}

function writeState(name: string): void {
  const digest = '0'.repeat(64)
  const run = {
    step: 7,
    run: 'test',
    seed: 1,
    recipe,
    network,
    schedule: {},
    fingerprint: digest,
    dataDigest: digest,
    recipeDigest: digest,
  }
  writeCheckpoint(
    at(name),
    layout,
    { format: 1, ...run, preprocessing: { ...preprocessing } },
    { weights: [new Uint8Array(weights.buffer)], velocity: [new Uint8Array(weights.byteLength)], suffix: Buffer.from('{}') },
  )
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep-standalone-'))
  process.env.XDG_CACHE_HOME = at('cache')
  await writePictures('pictures', CLASSES)
  writeState('a.safetensors')
})

afterAll(async () => {
  delete process.env.XDG_CACHE_HOME
  await rm(directory, { recursive: true, force: true })
})

const child = () => ({ computeThreads: 1, logFile: at('logs/child.log') })

describe('evaluateCheckpoint', () => {
  it('gives what Engine.evaluate gives in the same fixed batches, bit for bit', async () => {
    const progress: number[] = []
    const report = await evaluateCheckpoint({
      ...{ checkpoint: at('a.safetensors'), data: at('pictures'), protocol: 'center', ...child() },
      onProgress: ({ done, total }) => {
        expect(total).toBe(9)
        progress.push(done)
      },
    })
    expect(progress).toEqual([4, 8, 9])

    const source = await openFolder(at('pictures'))
    const loader = new EvaluationLoader({ source, preprocessing, batch: 4 })
    const engine = await Engine.create({ network, layout, seed: 1, globalBatch: 4 })
    engine.setWeights(weights)
    const sum = { lossSum: 0, correctTop1: 0, correctTop5: 0 }
    for (let batch = 0; batch < loader.batches; batch++) {
      const { images, labels, samples } = await loader.load(batch)
      const result = engine.evaluate(images, labels, samples)
      sum.lossSum += result.lossSum
      sum.correctTop1 += result.correctTop1
      sum.correctTop5 += result.correctTop5
    }
    engine.dispose()
    await source.close()
    expect(report).toMatchObject({ loss: sum.lossSum / 9, top1: sum.correctTop1 / 9, top5: 1, samples: 9 })
    expect(report.perClass.map(({ name, samples }) => [name, samples])).toEqual(CLASSES.map((name) => [name, 3]))
    expect(report.perClass.reduce((total, own) => total + own.top1 / 3, 0)).toBeCloseTo(report.top1, 12)
    expect(readFileSync(at('logs/child.log'), 'utf8')).toMatch(/oneDNN|TensorFlow|cpu/i)
  })

  it('refuses data with other classes, and names them', async () => {
    await writePictures('others', ['blue', 'green', 'violet'])
    const evaluating = evaluateCheckpoint({ checkpoint: at('a.safetensors'), data: at('others'), protocol: 'center', ...child() })
    await expect(evaluating).rejects.toMatchObject({
      name: 'TrainError',
      code: 'RECIPE_INVALID',
      message: expect.stringContaining('violet') as string,
    })
  })

  it('refuses a checkpoint whose weights were changed', async () => {
    const bytes = await readFile(at('a.safetensors'))
    const last = bytes.length - layout.size * 4 - 3
    bytes[last] = (bytes[last] ?? 0) ^ 1
    await writeFile(at('damaged.safetensors'), bytes)
    const evaluating = evaluateCheckpoint({ checkpoint: at('damaged.safetensors'), data: at('pictures'), protocol: 'center', ...child() })
    await expect(evaluating).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('damaged.safetensors') as string,
    })
  })

  it('ends its process when the signal is aborted', async () => {
    const controller = new AbortController()
    const started = evaluateCheckpoint({
      ...{ checkpoint: at('a.safetensors'), data: at('pictures'), protocol: 'center', ...child() },
      signal: controller.signal,
      onProgress: () => {
        controller.abort()
      },
    })
    await expect(started).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect(evaluateCheckpoint({ checkpoint: 'a', protocol: 'center', ...child(), signal: controller.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
  })
})

describe('predictImages', () => {
  it("names the most probable classes of each picture, whatever the picture's neighbours", async () => {
    const [first, second] = [at('pictures/red/200.png'), at('pictures/blue/40.png')]
    const predictions = await predictImages({ checkpoint: at('a.safetensors'), images: [first, second, first], top: 2, ...child() })
    expect(predictions.map(({ image }) => image)).toEqual([first, second, first])
    expect(predictions[2]).toEqual(predictions[0])
    for (const { classes } of predictions) {
      expect(classes).toHaveLength(2)
      const [one, two] = classes.map(({ probability }) => probability)
      expect(one).toBeGreaterThanOrEqual(two ?? 1)
      expect((one ?? 0) + (two ?? 0)).toBeLessThanOrEqual(1.000001)
    }
  })

  it('says which picture is missing, and prints nothing', async () => {
    const predicting = predictImages({ checkpoint: at('a.safetensors'), images: [at('none.png')], top: 1, ...child() })
    await expect(predicting).rejects.toMatchObject({ code: 'DATA_MISSING', message: expect.stringContaining('none.png') as string })
    expect(existsSync(at('logs/child.log'))).toBe(true)
  })
})

describe('mostProbable', () => {
  it.each([
    [[0.2, 0.5, 0.3], 2, ['b', 'c']],
    [[0.4, 0.4, 0.2], 1, ['a']],
    [[0.1, 0.1, 0.8], 9, ['c', 'a', 'b']],
  ])('of %j names the first %i', (probabilities, top, expected) => {
    expect(mostProbable(Float32Array.from(probabilities), ['a', 'b', 'c'], top).map(({ name }) => name)).toEqual(expected)
  })
})
