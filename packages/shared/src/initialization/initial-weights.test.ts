import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../checkpoint/checkpoint-writer.js'
import { freshState } from '../checkpoint/fresh-state.js'
import { layoutOf } from '../models/layout-of.js'
import { networkOf } from '../models/network.js'
import { initialSchedule } from '../optimizer/learning-rate.js'
import { recipeSchema, type Recipe } from '../recipe/schema.js'
import { checkTransfer } from './initial-weights.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-initial-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const MODEL = { name: 'resnet-18', width: 0.03125, inputSize: 32 } as const
const CLASSES = 3

function recipeOf(model: object, more: object = {}): Recipe {
  return recipeSchema.parse({ model: { ...MODEL, ...model }, data: { train: 'p', normalize: 'mean' }, steps: 1, ...more })
}

/** A checkpoint with the epsilon of Keras. */
function kerasCheckpoint(): string {
  const recipe = recipeOf({ normalizationEpsilon: 0.001 })
  const network = networkOf(recipe.model, CLASSES)
  const layout = layoutOf(network)
  const path = join(folder, 'keras.safetensors')
  const preprocessing = { inputSize: 32, scale: 32, normalize: 'mean', mean: [0, 0, 0], std: [1, 1, 1], classes: ['a', 'b', 'c'] }
  const schedule = initialSchedule(recipe.learningRate)
  const empty = { fingerprint: '', dataDigest: '', recipeDigest: '' }
  const metadata = { format: 1 as const, step: 0, run: 'x', seed: 1, recipe, network, preprocessing, schedule, ...empty }
  writeCheckpoint(path, layout, metadata, freshState(layout, new Float32Array(layout.size), recipe.learningRate))
  return path
}

describe('weights of a checkpoint with batch normalization', () => {
  it('are refused to a recipe with another epsilon, which would compute something else, and taken with the same', async () => {
    const path = kerasCheckpoint()
    for (const from of [{ initialization: { from: path } }, { model: { ...MODEL, weights: path } }]) {
      const check = async (model: object): Promise<void> => {
        const recipe = recipeOf({ ...('model' in from ? from.model : {}), ...model }, 'initialization' in from ? from : {})
        await checkTransfer(recipe, networkOf(recipe.model, CLASSES))
      }
      await expect(check({})).rejects.toMatchObject({
        code: 'CHECKPOINT_MISMATCH',
        message: expect.stringMatching(
          /^[^\n]*adds 0\.001 to a variance, the recipe's adds 0\.00001; set model\.normalizationEpsilon[^\n]*$/,
        ) as string,
      })
      await check({ normalizationEpsilon: 0.001 })
    }
  })
})
