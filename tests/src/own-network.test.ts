import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resume } from '@lockstep/coordinator/train.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import type { Recipe, RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { predictImages } from '@lockstep/worker/standalone/predict-images.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand, type Ended } from './support/command.js'
import { CLASSES, drawFolder } from './support/picture-folder.js'
import { collect, recipeOf, trainToEnd, type Trained } from './support/training.js'

/** A network of the user's own trains as a built-in one does: the same bits with any number of workers, and without the file afterwards. */
const MINUTES = 60_000
const STEPS = 6

/** What `small-cnn` is at a quarter of its width, layer for layer. */
const SMALL_CNN = `
export default ({ tf, inputSize, channels, classes }) =>
  tf.sequential({
    layers: [
      tf.layers.conv2d({ name: 'conv1', inputShape: [inputSize, inputSize, channels], filters: 8, kernelSize: 3, activation: 'relu' }),
      tf.layers.maxPooling2d({ name: 'pool1', poolSize: 2 }),
      tf.layers.conv2d({ name: 'conv2', filters: 16, kernelSize: 3, activation: 'relu' }),
      tf.layers.maxPooling2d({ name: 'pool2', poolSize: 2 }),
      tf.layers.conv2d({ name: 'conv3', filters: 16, kernelSize: 3, activation: 'relu' }),
      tf.layers.flatten({ name: 'flatten' }),
      tf.layers.dense({ name: 'fc1', units: 64, activation: 'relu' }),
      tf.layers.dropout({ name: 'fc1_dropout', rate: 0.2 }),
      tf.layers.dense({ name: 'predictions', units: classes, activation: 'softmax' }),
    ],
  })`

/** Convolutions, batch normalization, dropout with a seed of its own, a branch that joins, functions as layers. */
const BRANCHED = `
export default async ({ tf, inputSize, channels, classes }) => {
  console.log('nobody sees this')
  const { layers } = tf
  const picture = tf.input({ shape: [inputSize, inputSize, channels] })
  const stem = layers.maxPooling2d({ poolSize: 2, padding: 'same' }).apply(
    layers.reLU().apply(layers.batchNormalization().apply(layers.conv2d({ filters: 6, kernelSize: 3, useBias: false }).apply(picture))))
  const left = layers.conv2d({ filters: 6, kernelSize: 3, padding: 'same', activation: 'elu' }).apply(stem)
  const joined = layers.concatenate().apply([layers.add().apply([stem, left]), left])
  const flat = layers.flatten().apply(layers.averagePooling2d({ poolSize: 3 }).apply(joined))
  const hidden = layers.dense({ units: 16, activation: 'tanh', useBias: false }).apply(layers.dropout({ rate: 0.3, seed: 11 }).apply(flat))
  return tf.model({ inputs: picture, outputs: layers.dense({ units: classes, activation: 'softmax' }).apply(hidden) })
}`

let base: string
let pictures: string
let module: string

/** A recipe through its file, as people have it: paths start there. */
async function recipeWith(model: RecipeInput['model'], workers: number, steps = STEPS): Promise<Recipe> {
  return recipeOf(pictures, {
    ...{ name: 'own', workers, steps, model, batch: { global: 32, micro: 4 }, evaluation: { everySteps: 3, batch: 8 } },
    learningRate: { initial: 0.02 },
    run: { workers: { count: workers, minimum: workers }, checkpoint: { everySteps: 3, keep: 9, digestEverySteps: 1 } },
  })
}

const proof = ({ digests, summary }: Trained): unknown => [[...digests], summary.stateDigest, summary.weightsDigest, summary.top1]

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-own-'))
  pictures = await drawFolder(join(base, 'pictures'), 20)
  module = join(base, 'branched.mjs')
  await writeFile(module, BRANCHED)
  await writeFile(join(base, 'small-cnn.mjs'), SMALL_CNN)
}, MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('a network of one’s own', () => {
  it(
    'that is small-cnn written by hand has the bits of small-cnn',
    async () => {
      const sizes = { inputSize: 28, channels: 1 } as const
      const built = await trainToEnd(await recipeWith({ name: 'small-cnn', width: 0.25, ...sizes }, 1), { base: join(base, 'runs') })
      const own = await trainToEnd(await recipeWith({ from: join(base, 'small-cnn.mjs'), ...sizes }, 1), {
        base: join(base, 'runs'),
      })
      expect(new Set(built.digests.values()).size).toBe(STEPS)
      expect(proof(own)).toEqual(proof(built))
    },
    4 * MINUTES,
  )

  it(
    'has the same bits with one worker and two, and goes on, evaluates and predicts when its file is gone',
    async () => {
      const model = { from: module, inputSize: 28 } as RecipeInput['model']
      const whole = await trainToEnd(await recipeWith(model, 1, STEPS + 3), { base: join(base, 'runs') })
      expect(whole.losses.every(Number.isFinite)).toBe(true)
      expect(new Set(whole.digests.values()).size).toBe(STEPS + 3)
      const notes = whole.events.flatMap((event) => (event.type === 'note' ? [event.message] : []))
      expect(notes.join('\n')).toMatch(/branched\.mjs: the softmax of the last layer[^]*the seed of dropout_Dropout1 is not used/)

      const part = await trainToEnd(await recipeWith(model, 2), { base: join(base, 'runs') })
      expect(part.summary.workers).toBe(2)
      expect([...part.digests]).toEqual([...whole.digests].slice(0, STEPS))
      expect((await loadRecipe(join(part.directory, 'recipe.yaml'))).recipe.model.layers).toHaveLength(13)

      await rm(module)
      const resumed = await collect(resume(part.directory, { set: [`steps=${String(STEPS + 3)}`] }))
      expect([...resumed.digests]).toEqual([...whole.digests])
      expect(resumed.summary.stateDigest).toBe(whole.summary.stateDigest)

      const checkpoint = join(resumed.directory, 'checkpoints', 'latest.safetensors')
      const work = { checkpoints: [checkpoint], computeThreads: 1, logFile: join(base, 'standalone.log') }
      const report = await evaluateCheckpoint(work)
      const last = resumed.events.findLast((event) => event.type === 'evaluation')
      expect(last).toMatchObject({ loss: report.loss, top1: report.top1, samples: report.samples })
      const [prediction] = await predictImages({ ...work, images: [join(pictures, CLASSES[0], '000.png')], top: 3 })
      expect(prediction?.classes.map(({ name }) => name).sort()).toEqual([...CLASSES].sort())

      // A checkpoint of it starts another training of it, by the layers that its run wrote down.
      const { recipe } = await loadRecipe(join(part.directory, 'recipe.yaml'))
      const again = await trainToEnd(
        { ...recipe, name: 'again', steps: 1, initialization: { ...recipe.initialization, from: checkpoint } },
        { base: join(base, 'runs') },
      )
      const started = again.events.find((event) => event.type === 'started')
      expect(started?.initialized?.map(({ source }) => source)).toEqual(Array.from({ length: 4 }, () => 'checkpoint'))
    },
    6 * MINUTES,
  )
})

describe('the command line', () => {
  async function command(name: string, text: string, words: readonly string[]): Promise<Ended> {
    await writeFile(join(base, `${name}.mjs`), text)
    const recipe = `model: {from: ./${name}.mjs, inputSize: 28}\ndata: {train: pictures}\nbatch: {global: 32, micro: 4}\nsteps: 1\n`
    await writeFile(join(base, `${name}.yaml`), recipe)
    return await runCommand([words[0] ?? '', `${name}.yaml`, ...words.slice(1)], base)
  }

  it(
    'says in one line what is wrong with a module, and leaves no folder',
    async () => {
      const throwing = await command('throwing', 'export default () => {\n  console.log(1)\n  throw new Error("no\\nway")\n}', ['train'])
      expect(throwing).toMatchObject({ code: 1, stdout: '' })
      expect(throwing.stderr.trim()).toMatch(/^error: model\.from: throwing\.mjs: line 3: Error: no way$/)
      const odd = await command('odd', SMALL_CNN.replace("'fc1_dropout', rate: 0.2", "'fc1_dropout', rate: 0.2, noiseShape: [1, 1]"), [
        'inspect',
      ])
      expect(odd).toMatchObject({ code: 1 })
      expect(odd.stderr.trim().split('\n')).toHaveLength(1)
      expect(odd.stderr).toMatch(/odd\.mjs: layer fc1_dropout \(Dropout\) drops whole groups/)
    },
    2 * MINUTES,
  )

  it(
    'describes it without training',
    async () => {
      const { code, stdout, stderr } = await command('good', SMALL_CNN, ['train', '--dry-run'])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/own, 28×28×3 input, 3 classes/)
      expect(stdout).toMatch(/fc1_dropout \(Dropout\)/)
      expect(stdout).toMatch(/note: good\.mjs: the softmax of the last layer, predictions, is part of the loss here/)
    },
    MINUTES,
  )
})
