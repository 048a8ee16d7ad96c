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
import type { ViewsRequest } from './messages.js'
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

async function writePictures(folder: string, classes: readonly string[], shades = [40, 120, 200]): Promise<void> {
  for (const [index, name] of classes.entries()) {
    await mkdir(at(`${folder}/${name}`), { recursive: true })
    for (const shade of shades) {
      const color = [0, 1, 2].map((channel) => (channel === 2 - index ? shade : 20 + shade / 10)) as [number, number, number]
      await writeFile(at(`${folder}/${name}/${String(shade)}.png`), picture(...color))
    }
  }
}

function writeState(name: string, more: { seed?: number; classes?: string[] } = {}): void {
  const weights = weightsOf(network, layout, more.seed ?? 1)
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
    { format: 1, ...run, preprocessing: { ...preprocessing, classes: more.classes ?? CLASSES } },
    { weights: [new Uint8Array(weights.buffer)], velocity: [new Uint8Array(weights.byteLength)], suffix: Buffer.from('{}') },
  )
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep-standalone-'))
  process.env.XDG_CACHE_HOME = at('cache')
  await writePictures('pictures', CLASSES)
  writeState('a.safetensors')
  writeState('b.safetensors', { seed: 2 })
  writeState('elsewhere.safetensors', { classes: ['green', 'blue', 'red'] })
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
      ...{ checkpoints: [at('a.safetensors')], data: at('pictures'), ...child() },
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
      const { inputs, labels, samples } = await loader.load(batch)
      const [input] = inputs()
      const result = engine.evaluate(input?.images ?? new Float32Array(), labels, samples)
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
    const evaluating = evaluateCheckpoint({ checkpoints: [at('a.safetensors')], data: at('others'), ...child() })
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
    const evaluating = evaluateCheckpoint({ checkpoints: [at('damaged.safetensors')], data: at('pictures'), ...child() })
    await expect(evaluating).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('damaged.safetensors') as string,
    })
  })

  it('ends its process when the signal is aborted', async () => {
    const controller = new AbortController()
    const started = evaluateCheckpoint({
      ...{ checkpoints: [at('a.safetensors')], data: at('pictures'), ...child() },
      signal: controller.signal,
      onProgress: () => {
        controller.abort()
      },
    })
    await expect(started).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect(evaluateCheckpoint({ checkpoints: ['a'], ...child(), signal: controller.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
  })
})

/** The answer of a child for some pictures: [picture][class], classes in the order of the checkpoint. */
async function probabilitiesOf(checkpoints: string[], images: readonly string[], views: ViewsRequest): Promise<number[][]> {
  const predictions = await predictImages({ checkpoints: checkpoints.map(at), images, top: 3, views, ...child() })
  return predictions.map(({ classes }) => CLASSES.map((name) => classes.find((found) => found.name === name)?.probability ?? Number.NaN))
}

const mean = (rows: readonly (readonly number[])[]): number[] =>
  (rows[0] ?? []).map((_, column) => rows.reduce((sum, row) => sum + (row[column] ?? 0), 0) / rows.length)

const close = (found: readonly number[], expected: readonly number[]): void => {
  expect(found).toHaveLength(expected.length)
  for (const [at, value] of expected.entries()) expect(found[at]).toBeCloseTo(value, 9)
}

describe('several looks, and several networks', () => {
  const shades = [80, 160].flatMap((shade) => CLASSES.map((name) => ({ name, file: `few/${name}/${String(shade)}.png` })))

  beforeAll(async () => {
    await writePictures('few', CLASSES, [80, 160])
  })

  it('are the mean of the soft-max outputs of each, and so are those of several networks', async () => {
    const images = shades.slice(0, 2).map(({ file }) => at(file))
    const [protocol, scales] = ['dense', [36, 44]] as const
    const [one, other] = [
      await probabilitiesOf(['a.safetensors'], images, { protocol, scales }),
      await probabilitiesOf(['b.safetensors'], images, { protocol, scales }),
    ]
    const apart = [36, 44].map(async (scale) => await probabilitiesOf(['a.safetensors'], images, { protocol, scales: [scale] }))
    const [small, large] = await Promise.all(apart)
    const both = await probabilitiesOf(['a.safetensors', 'b.safetensors'], images, { protocol, scales })
    for (const picture of images.keys()) {
      expect(small?.[picture]).not.toEqual(large?.[picture])
      close(one[picture] ?? [], mean([small?.[picture] ?? [], large?.[picture] ?? []]))
      close(both[picture] ?? [], mean([one[picture] ?? [], other[picture] ?? []]))
    }
  })

  it('count the same in evaluation: loss, ranks, classes and confusion follow from the averages', async () => {
    const views = { protocol: 'dense+multi-crop', scales: [36], flip: true } as const
    const checkpoints = ['a.safetensors', 'b.safetensors']
    const report = await evaluateCheckpoint({ checkpoints: checkpoints.map(at), data: at('few'), views, ...child() })
    const all = await probabilitiesOf(
      checkpoints,
      shades.map(({ file }) => at(file)),
      views,
    )
    const first = all.map((row) => row.indexOf(Math.max(...row)))
    const labels = shades.map(({ name }) => CLASSES.indexOf(name))
    // Other batches, so to rounding; counts are exact.
    expect(report.loss).toBeCloseTo(all.reduce((sum, row, at) => sum - Math.log(row[labels[at] ?? 0] ?? 0), 0) / 6, 5)
    expect(report.correctTop1).toBe(first.filter((seen, at) => seen === labels[at]).length)
    expect(report.top1).toBe(report.correctTop1 / 6)
    const confusion = CLASSES.map((_, label) =>
      CLASSES.map((__, seen) => first.filter((own, at) => own === seen && labels[at] === label).length),
    )
    expect(report.confusion).toEqual(confusion)
    expect(report.views).toEqual([views, views])
  })

  it('look as the run did where nothing else is asked, and show where they are', async () => {
    const progress: number[] = []
    const asked = { checkpoints: [at('a.safetensors')], data: at('pictures'), ...child() }
    const flipped = await evaluateCheckpoint({ ...asked, views: { flip: true }, onProgress: ({ done }) => progress.push(done) })
    expect(flipped.views).toEqual([{ protocol: 'center', scales: [36], flip: true }])
    expect(progress).toEqual([2, 4, 6, 8, 8, 9])
    expect((await evaluateCheckpoint(asked)).views).toEqual([{ protocol: 'center', scales: [36], flip: false }])
  })

  it('refuse networks of other classes, and a scale that is too small', async () => {
    const checkpoints = [at('a.safetensors'), at('elsewhere.safetensors')]
    await expect(evaluateCheckpoint({ checkpoints, data: at('pictures'), ...child() })).rejects.toMatchObject({
      code: 'CHECKPOINT_MISMATCH',
      message: expect.stringContaining('their order') as string,
    })
    const views = { scales: [36, 31] }
    await expect(evaluateCheckpoint({ checkpoints: [at('a.safetensors')], data: at('pictures'), views, ...child() })).rejects.toMatchObject(
      {
        code: 'USAGE',
        message: expect.stringContaining('31 pixels') as string,
      },
    )
  })
})

describe('predictImages', () => {
  it("names the most probable classes of each picture, whatever the picture's neighbours", async () => {
    const [first, second] = [at('pictures/red/200.png'), at('pictures/blue/40.png')]
    const predictions = await predictImages({ checkpoints: [at('a.safetensors')], images: [first, second, first], top: 2, ...child() })
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
    const predicting = predictImages({ checkpoints: [at('a.safetensors')], images: [at('none.png')], top: 1, ...child() })
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
