import { decodePicture } from '@lockstep/data/picture.js'
import type { SampleSource } from '@lockstep/data/sample-folder.js'
import { openTrainingData } from '@lockstep/data/training-data.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { nearestNeighbourTop1, type PixelRows } from '../picture-sets/nearest-neighbour.js'
import type { Narrator } from '../terminal/narrator.js'
import type { Chance } from './training-result.js'

/** What networks have to beat on a data set: guessing the largest class, and the nearest neighbour on raw pixels. */
export interface DataYardsticks {
  readonly classes: number
  readonly trainPictures: number
  readonly chance: Chance
  readonly nearestNeighbour: { readonly top1: number; readonly seconds: number; readonly side: number }
}

/** Pixels a side that pictures are compared at: more than this costs time and tells no more. */
const MOST_SIDE = 32
/** Pictures decoded at once. */
const AT_ONCE = 16

/**
 * Measures both on the pictures of a recipe.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT, RECIPE_INVALID, INTERRUPTED
 */
export async function measureYardsticks(recipe: Recipe, narrator: Narrator, signal?: AbortSignal): Promise<DataYardsticks> {
  const data = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize: recipe.model.inputSize })
  try {
    const side = Math.min(MOST_SIDE, recipe.model.inputSize)
    const total = data.train.size + data.validation.size
    const read = (source: SampleSource, before: number): Promise<PixelRows> =>
      pixelRows(source, side, (done) => narrator.progress(before + done, total, 'reading pictures'), signal)
    const train = await read(data.train, 0)
    const validation = await read(data.validation, data.train.size)
    const onProgress = (done: number, all: number): void => narrator.progress(done, all, 'nearest neighbour on pixels')
    const nearest = await nearestNeighbourTop1(train, validation, { onProgress, signal })
    return {
      classes: data.classes.length,
      trainPictures: data.train.size,
      chance: { top1: largestShare(validation.labels, data.classes.length), pictures: data.validation.size },
      nearestNeighbour: { ...nearest, side },
    }
  } finally {
    narrator.settle()
    await data.close()
  }
}

function largestShare(labels: ArrayLike<number>, classes: number): number {
  const counts = new Array<number>(classes).fill(0)
  for (let at = 0; at < labels.length; at++) counts[labels[at] ?? 0] = (counts[labels[at] ?? 0] ?? 0) + 1
  return Math.max(...counts) / labels.length
}

/** The middle square of every picture, its shorter side at `side` pixels: what an evaluation sees, not normalized. */
async function pixelRows(source: SampleSource, side: number, onDone: (done: number) => void, signal?: AbortSignal): Promise<PixelRows> {
  const area = side * side * 3
  const rows = { pixels: new Uint8Array(source.size * area), labels: new Uint16Array(source.size) }
  for (let from = 0; from < source.size; from += AT_ONCE) {
    if (signal?.aborted === true) throw new TrainError('INTERRUPTED', 'stopped while reading pictures')
    const numbers = Array.from({ length: Math.min(AT_ONCE, source.size - from) }, (_, index) => from + index)
    await Promise.all(
      numbers.map(async (number) => {
        const { pixels, width, height } = await decodePicture(await source.read(number), side)
        const [top, left] = [Math.floor((height - side) / 2), Math.floor((width - side) / 2)]
        for (let row = 0; row < side; row++) {
          const start = ((top + row) * width + left) * 3
          rows.pixels.set(pixels.subarray(start, start + side * 3), number * area + row * side * 3)
        }
        rows.labels[number] = source.label(number)
      }),
    )
    onDone(from + numbers.length)
  }
  return rows
}
