import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { colorShiftOf } from '@lockstep/shared/sampling/color-shift.js'
import { centerGeometry, cropOrigin, geometryOf } from '@lockstep/shared/sampling/geometry.js'
import { SampleStream } from '@lockstep/shared/sampling/sample-stream.js'
import { BatchLoader, type BatchLoaderOptions, type TrainingBatch } from './batch-loader.js'
import { drawClassFolders, inTemporaryFolder, put } from './drawn-pictures.js'
import { packFolder } from './pack-folder.js'
import { decodePicture } from './picture.js'
import { predictionBatch } from './prediction-input.js'
import { preprocessingOf, type PictureRecipe } from './preprocessing.js'
import { openTrainingData, type TrainingData } from './training-data.js'

type Augment = Recipe['data']['augment']
const PLAIN: Augment = { crop: 'center', flip: false, colorShift: 0 }
const ALL: Augment = { shortSide: [16, 24], crop: 'random', flip: true, colorShift: 0.1 }

const recipeWith = (train: string, augment: Augment, more: Partial<PictureRecipe> = {}): PictureRecipe => ({
  seed: 7,
  data: { train, validation: { split: 0.2 }, shuffle: 'full', augment },
  evaluation: { protocol: 'center', flip: false, batch: 4 },
  initialization: { method: 'he', std: 0.01, newHead: false },
  ...more,
})

/** 30 pictures of 2 classes: 24 for training, 6 for validation. */
const withData = (work: (data: TrainingData, folder: string) => Promise<void>): Promise<void> =>
  inTemporaryFolder(async (root) => {
    await drawClassFolders(join(root, 'in'), ['a', 'b'], 15)
    await packFolder({ input: join(root, 'in'), output: join(root, 'out'), onBroken: 'stop' })
    const data = await openTrainingData(recipeWith(join(root, 'out'), PLAIN).data, { seed: 7, inputSize: 16 })
    try {
      await work(data, join(root, 'in'))
    } finally {
      await data.close()
    }
  })

const loaderOf = (data: TrainingData, augment: Augment, more: Partial<BatchLoaderOptions> = {}): BatchLoader =>
  new BatchLoader({ data, recipe: recipeWith('', augment), inputSize: 16, ...more })

const imageOf = (batch: TrainingBatch, position: number): number[] => {
  const pixels = batch.images.length / batch.count
  return [...batch.images.subarray((position - batch.firstPosition) * pixels, (position - batch.firstPosition + 1) * pixels)]
}

describe('BatchLoader.training', () => {
  it('gives the pixels that the drawn geometry, colour shift and normalisation say', async () => {
    await withData(async (data) => {
      const batch = await loaderOf(data, ALL).training(20, 10)
      const stream = new SampleStream({ size: 24, seed: 7, shuffle: 'full' })
      for (let position = 20; position < 30; position++) {
        const sample = stream.sample(position)
        const geometry = geometryOf(7, position, { shortSide: [16, 24], crop: 'random', flip: true })
        const { pixels, height, width } = await decodePicture(await data.train.read(sample), geometry.shortSide)
        const { top, left } = cropOrigin(geometry, height, width, 16)
        const shift = colorShiftOf(7, position, 0.1, data.color.eigenvectors, data.color.eigenvalues)
        const expected: number[] = []
        for (let row = 0; row < 16; row++) {
          for (let column = 0; column < 16; column++) {
            const from = left + (geometry.flip ? 15 - column : column)
            for (const channel of [0, 1, 2] as const) {
              const byte = pixels[((top + row) * width + from) * 3 + channel] ?? 0
              expected.push(Math.fround((byte + shift[channel] - data.mean[channel]) / data.std[channel]))
            }
          }
        }
        expect(imageOf(batch, position)).toEqual(expected)
        expect(batch.labels[position - 20]).toBe(data.train.label(sample))
      }
    })
  })

  it('depends on the stream position alone: not on batch, order, company, loader, parallelism or cache', async () => {
    await withData(async (data) => {
      for (const augment of [ALL, { ...ALL, shortSide: 18 }, PLAIN]) {
        const whole = await loaderOf(data, augment, { cacheBytes: 0, parallelism: 1 }).training(0, 60)
        const other = loaderOf(data, augment, { parallelism: 5 })
        const pieces = await Promise.all([40, 0, 55, 10, 25, 40].map((first) => other.training(first, 5)))
        for (const piece of pieces) {
          for (let i = 0; i < 5; i++) expect(imageOf(piece, piece.firstPosition + i)).toEqual(imageOf(whole, piece.firstPosition + i))
          expect(piece.labels).toEqual(whole.labels.slice(piece.firstPosition, piece.firstPosition + 5))
        }
      }
    })
  })

  it('shows every sample once an epoch, across the border, and augments it anew', async () => {
    await withData(async (data) => {
      const stream = new SampleStream({ size: 24, seed: 7, shuffle: 'full' })
      const batch = await loaderOf(data, { ...ALL, shortSide: 20 }).training(0, 48)
      const second = Array.from({ length: 24 }, (_, i) => 24 + i).find((position) => stream.sample(position) === stream.sample(0)) ?? 0
      expect(second).toBeGreaterThanOrEqual(24)
      expect(imageOf(batch, second)).not.toEqual(imageOf(batch, 0))
      const another = await new BatchLoader({ data, recipe: { ...recipeWith('', ALL), seed: 8 }, inputSize: 16 }).training(0, 4)
      expect([...another.images]).not.toEqual([...batch.images.subarray(0, another.images.length)])
    })
  })

  it('keeps the pixels of small pictures: later epochs read nothing, and no bit changes', async () => {
    await withData(async (data) => {
      let reads = 0
      const counted = { ...data, train: countReads(data.train, () => reads++) }
      const augment = { ...ALL, shortSide: 18 }
      const kept = loaderOf(counted, augment)
      const first = await kept.training(0, 24)
      const later = await kept.training(24, 24)
      expect(reads).toBe(24)
      expect(await loaderOf(data, augment, { cacheBytes: 0 }).training(0, 24)).toEqual(first)
      expect(await loaderOf(data, augment, { cacheBytes: 0 }).training(24, 24)).toEqual(later)
      await loaderOf(counted, ALL).training(0, 48)
      expect(reads).toBe(24 + 48) // a scale drawn anew each time: nothing to keep
      const scarce = loaderOf(counted, augment, { cacheBytes: 24 * 500 })
      await scarce.training(0, 48)
      expect(reads).toBe(24 + 48 + 48)
    })
  })

  it('owns its buffers, so that they can be handed over', async () => {
    await withData(async (data) => {
      const { images, labels } = await loaderOf(data, PLAIN).training(0, 3)
      expect([images.buffer.byteLength, labels.buffer.byteLength]).toEqual([3 * 16 * 16 * 3 * 4, 12])
      structuredClone(images, { transfer: [images.buffer] })
      expect(images.length).toBe(0)
    })
  })

  it('subtracts the mean alone with normal initialization', async () => {
    await withData(async (data) => {
      const recipe = recipeWith('', PLAIN, { initialization: { method: 'normal', std: 0.01, newHead: false } })
      const { images } = await new BatchLoader({ data, recipe, inputSize: 16 }).training(0, 24)
      const bytes = [...images].map((value, i) => value + (data.mean[i % 3] ?? 0))
      expect(bytes.every((value) => Math.abs(value - Math.round(value)) < 1e-4 && value > -0.5 && value < 255.5)).toBe(true)
    })
  })

  it('refuses scales smaller than the input', async () => {
    await withData(async (data) => {
      for (const shortSide of [15, [15, 30], [30, 20]] as const) {
        expect(() => loaderOf(data, { ...PLAIN, shortSide: typeof shortSide === 'number' ? shortSide : [...shortSide] })).toThrow(
          expect.objectContaining({ code: 'RECIPE_INVALID' }),
        )
      }
      const recipe = recipeWith('', PLAIN, { evaluation: { protocol: 'center', flip: false, batch: 4, scales: [8] } })
      expect(() => new BatchLoader({ data, recipe, inputSize: 16 })).toThrow(expect.objectContaining({ code: 'RECIPE_INVALID' }))
    })
  })
})

describe('BatchLoader.evaluation', () => {
  it('has fixed batches, the last padded with zeros, never augmented, as prediction sees them', async () => {
    await withData(async (data, folder) => {
      const loader = loaderOf(data, ALL)
      const recipe = { ...recipeWith('', ALL), model: { name: 'vgg-a', inputSize: 16 } as Recipe['model'] }
      const preprocessing = preprocessingOf(recipe, data)
      expect(preprocessing).toEqual({
        inputSize: 16,
        scale: 20,
        normalize: 'meanAndStd',
        mean: data.mean,
        std: data.std,
        classes: ['a', 'b'],
      })
      expect(loader.evaluationBatches).toBe(2)
      const pixels = 16 * 16 * 3
      for (const batch of [1, 0, 1]) {
        const { labels, samples, forwards, inputs } = await loader.evaluation(batch)
        const [input, ...others] = inputs()
        expect([labels.length, samples, forwards, others]).toEqual([4, batch === 0 ? 4 : 2, 1, []])
        expect(input).toMatchObject({ kind: 'crop', shape: [4, 16, 16, 3], weight: 1 })
        const images = input?.images ?? new Float32Array()
        expect(images.length).toBe(4 * pixels)
        for (let i = 0; i < samples; i++) {
          const { pixels: bytes, height, width } = await decodePicture(await data.validation.read(batch * 4 + i), 20)
          const { top, left } = cropOrigin(centerGeometry(20), height, width, 16)
          const expected = Array.from({ length: pixels }, (_, at) => {
            const [row, column, channel] = [Math.floor(at / 48), Math.floor(at / 3) % 16, (at % 3) as 0 | 1 | 2]
            const byte = bytes[((top + row) * width + left + column) * 3 + channel] ?? 0
            return Math.fround((byte - data.mean[channel]) / data.std[channel])
          })
          expect([...images.subarray(i * pixels, (i + 1) * pixels)]).toEqual(expected)
          expect(labels[i]).toBe(data.validation.label(batch * 4 + i))
          const file = join(folder, data.validation.name(batch * 4 + i))
          const [alone] = (await predictionBatch(file, preprocessing, { protocol: 'center', scales: [20], flip: false })).inputs()
          expect(alone).toEqual({ kind: 'crop', images: Float32Array.from(expected), shape: [1, 16, 16, 3], weight: 1 })
        }
        expect(images.subarray(samples * pixels).every((value) => value === 0)).toBe(true)
      }
    })
  })

  it('shows every view that the protocol has, once a batch for crops and once a picture for whole pictures', async () => {
    await withData(async (data) => {
      const evaluation = { protocol: 'dense+multi-crop' as const, flip: true, batch: 4, scales: [18, 20] }
      const loader = new BatchLoader({ data, recipe: recipeWith('', ALL, { evaluation }), inputSize: 16 })
      const batch = await loader.evaluation(1)
      const inputs = [...batch.inputs()]
      expect([batch.samples, batch.forwards, inputs.length]).toEqual([2, 2 * 2 * 2 + 2 * 50, 2 * 2 * 2 + 2 * 50])
      expect([...batch.inputs()]).toEqual(inputs)
      const dense = inputs.filter(({ kind }) => kind === 'dense')
      expect(dense.map((input) => ('sample' in input ? input.sample : -1))).toEqual([0, 1, 0, 1, 0, 1, 0, 1])
      for (const [at, { shape, images, weight }] of dense.entries()) {
        const { height, width } = await decodePicture(await data.validation.read(4 + (at % 2)), at < 4 ? 18 : 20)
        expect([shape, images.length, weight]).toEqual([[1, height, width, 3], height * width * 3, 1 / 8])
      }
      // The mirror image of a whole picture, row by row.
      const [whole, , mirrored] = dense
      const [, height = 0, width = 0] = whole?.shape ?? []
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          const at = (row * width + column) * 3
          const from = (row * width + width - 1 - column) * 3
          expect(mirrored?.images.subarray(at, at + 3)).toEqual(whole?.images.subarray(from, from + 3))
        }
      }
      const crops = inputs.filter(({ kind }) => kind === 'crop')
      expect(new Set(crops.map(({ images }) => [...images.subarray(0, 16 * 16 * 3)].join())).size).toBeGreaterThan(50)
      for (const { shape, images, weight } of crops) {
        expect([shape, weight]).toEqual([[4, 16, 16, 3], 1 / 200])
        expect(images.subarray(2 * 16 * 16 * 3).every((value) => value === 0)).toBe(true)
      }
      // The middle of the grid is the centre crop, and the corners are corners.
      const [middle] = (await loaderOf(data, ALL).evaluation(1)).inputs()
      expect(crops[50 + 24]?.images).toEqual(middle?.images)
      expect(crops[0]?.images.subarray(0, 48)).toEqual(whole?.images.subarray(0, 48))
    })
  })
})

describe('grey input', () => {
  const GREY = [0.299, 0.587, 0.114]

  it('has one channel: the weighted sum of red, green and blue, of mean 0 and variance 1 over the training set', async () => {
    await withData(async (data, folder) => {
      const recipe = { ...recipeWith('', PLAIN), model: { name: 'small-cnn', inputSize: 16 } as Recipe['model'] }
      const preprocessing = preprocessingOf(recipe, data)
      const greyOf = (pixels: Uint8Array, at: number): number =>
        GREY.reduce((total, weight, channel) => total + weight * (pixels[at + channel] ?? 0), 0)
      const greys: number[] = []
      for (let i = 0; i < 30; i++) {
        const name = `${i < 15 ? 'a' : 'b'}/${String(i % 15).padStart(3, '0')}.png`
        const { pixels } = await decodePicture(await readFile(join(folder, name)), null)
        for (let at = 0; at < pixels.length; at += 3) greys.push(greyOf(pixels, at))
      }
      const mean = greys.reduce((sum, grey) => sum + grey, 0) / greys.length
      const std = Math.sqrt(greys.reduce((sum, grey) => sum + (grey - mean) ** 2, 0) / greys.length)
      expect(preprocessing.greyStd).toBeCloseTo(std, 6)
      const [evaluated] = (await loaderOf(data, PLAIN, { channels: 1 }).evaluation(0)).inputs()
      const images = evaluated?.images ?? new Float32Array()
      expect(evaluated?.shape).toEqual([4, 16, 16, 1])
      expect(images).toHaveLength(4 * 256)
      const { pixels, height, width } = await decodePicture(await data.validation.read(0), 16)
      const { top, left } = cropOrigin(centerGeometry(16), height, width, 16)
      for (const [row, column] of [
        [0, 0],
        [3, 11],
        [15, 15],
      ] as const) {
        const grey = greyOf(pixels, ((top + row) * width + left + column) * 3)
        expect(images[row * 16 + column]).toBeCloseTo((grey - mean) / std, 5)
      }
      const views = { protocol: 'center' as const, scales: [16], flip: false }
      const [predicted] = (await predictionBatch(join(folder, data.validation.name(0)), preprocessing, views)).inputs()
      expect([...(predicted?.images ?? [])]).toEqual([...images.subarray(0, 256)])
      expect((await loaderOf(data, ALL, { channels: 1 }).training(0, 3)).images).toHaveLength(3 * 256)
    })
  })
})

describe('predictionBatch', () => {
  const preprocessing = {
    inputSize: 8,
    scale: 8,
    normalize: 'mean' as const,
    mean: [0, 0, 0] as [number, number, number],
    std: [1, 1, 1] as [number, number, number],
    classes: ['a'],
  }
  const views = { protocol: 'center' as const, scales: [8], flip: false }

  it('takes a path or bytes', async () => {
    await inTemporaryFolder(async (root) => {
      const [name = ''] = await drawClassFolders(root, ['a'], 1)
      const [fromPath] = (await predictionBatch(join(root, name), preprocessing, views)).inputs()
      const [fromBytes] = (await predictionBatch(await readFile(join(root, name)), preprocessing, views)).inputs()
      expect(fromBytes).toEqual(fromPath)
    })
  })

  it('says what is wrong with the picture', async () => {
    await inTemporaryFolder(async (root) => {
      await put(root, 'a/text.jpg', 'hello')
      const code = (file: string): Promise<unknown> =>
        predictionBatch(join(root, file), preprocessing, views).catch((error: unknown) => error)
      expect(await code('a/text.jpg')).toMatchObject({ code: 'DATA_CORRUPT', message: expect.stringContaining('a/text.jpg') as string })
      expect(await code('a/none.jpg')).toMatchObject({ code: 'DATA_MISSING', message: expect.stringContaining('no such file') as string })
      expect(await code('a')).toMatchObject({ code: 'DATA_MISSING', message: expect.stringContaining('it is a folder') as string })
    })
  })
})

function countReads(source: TrainingData['train'], onRead: () => void): TrainingData['train'] {
  return {
    size: source.size,
    blocks: source.blocks,
    label: (i) => source.label(i),
    name: (i) => source.name(i),
    place: (i) => source.place(i),
    read: (i) => {
      onRead()
      return source.read(i)
    },
  }
}
