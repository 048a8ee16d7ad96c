import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { recipeDigest } from '@lockstep/shared/recipe/load.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withOwnNetwork } from './own-network.js'

/** Real modules, run by the real process with the real tfjs. */
const MINUTE = 60_000
let base: string
beforeAll(async () => (base = await mkdtemp(join(tmpdir(), 'lockstep-own-network-'))))
afterAll(async () => await rm(base, { recursive: true, force: true }))

const recipeOf = (from: string): Recipe => recipeSchema.parse({ model: { from, inputSize: 12 }, data: { train: 'pictures' }, steps: 1 })

async function moduleOf(name: string, text: string): Promise<string> {
  const path = join(base, name)
  await writeFile(path, text)
  return path
}

async function read(from: string, limitMs?: number): Promise<{ recipe: Recipe; notes: string[] }> {
  const notes: string[] = []
  const options = { onNote: (note: string) => notes.push(note), ...(limitMs === undefined ? {} : { limitMs }) }
  return { recipe: await withOwnNetwork(recipeOf(from), 3, options), notes }
}

async function refusal(from: string, limitMs?: number): Promise<string> {
  const error: unknown = await read(from, limitMs).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(TrainError)
  const { code, message } = error as TrainError
  expect(code).toBe('RECIPE_INVALID')
  expect(message).not.toContain('\n')
  return message
}

const EVERYTHING = `
export default async ({ tf, inputSize, channels, classes }) => {
  console.log('hello', inputSize)
  console.error('to whom')
  const { layers } = tf
  const picture = tf.input({ shape: [inputSize, inputSize, channels] })
  const c1 = layers.conv2d({ name: 'c1', filters: 4, kernelSize: 3, padding: 'same', useBias: false }).apply(picture)
  const bn = layers.batchNormalization({ name: 'bn' }).apply(c1)
  const relu = layers.reLU({ name: 'relu' }).apply(bn)
  const c2 = layers.conv2d({ name: 'c2', filters: 4, kernelSize: 3, padding: 'same', activation: 'elu', kernelInitializer: 'heNormal' }).apply(relu)
  const sum = layers.add({ name: 'sum' }).apply([relu, c2])
  const left = layers.maxPooling2d({ name: 'left', poolSize: 2, padding: 'same' }).apply(sum)
  const right = layers.averagePooling2d({ name: 'right', poolSize: 2 }).apply(sum)
  const both = layers.concatenate({ name: 'both' }).apply([left, right])
  const flat = layers.flatten({ name: 'flat' }).apply(both)
  const drop = layers.dropout({ name: 'drop', rate: 0.4, seed: 7 }).apply(flat)
  const out = layers.dense({ name: 'out', units: classes, activation: 'softmax' }).apply(drop)
  return tf.model({ inputs: picture, outputs: out })
}`

describe('a network of one’s own', () => {
  it(
    'is read from a module, with every kind of layer, and stands in the recipe; the file then counts no more',
    async () => {
      const { recipe, notes } = await read(await moduleOf('everything.mjs', EVERYTHING))
      expect(recipe.model.layers).toEqual([
        { type: 'convolution', name: 'c1', filters: 4, kernel: 3, stride: 1, padding: 'same', activation: 'linear', useBias: false },
        { type: 'batchNormalization', name: 'bn', momentum: 0.99, epsilon: 0.001, activation: 'relu' },
        { type: 'convolution', name: 'c2', filters: 4, kernel: 3, stride: 1, padding: 'same', activation: 'linear' },
        { type: 'activation', name: 'c2_elu', function: 'elu' },
        { type: 'add', name: 'sum', inputs: ['bn', 'c2_elu'], activation: 'linear' },
        { type: 'maxPooling', name: 'left', size: 2, stride: 2, padding: 'same' },
        { type: 'averagePooling', name: 'right', size: 2, stride: 2, padding: 'valid', inputs: ['sum'] },
        { type: 'concatenate', name: 'both', inputs: ['left', 'right'] },
        { type: 'flatten', name: 'flat' },
        { type: 'dropout', name: 'drop', rate: 0.4 },
        { type: 'dense', name: 'predictions', units: 3, activation: 'linear' },
      ])
      expect(notes.map((note) => note.replace('everything.mjs: ', ''))).toEqual([
        'the softmax of the last layer, out, is part of the loss here',
        'the last layer, out, is called predictions here',
        'first weights are those of the recipe (initialization), not of the layers’ own initializers, as c2 has one'.replace('’', "'"),
        'the seed of drop is not used: the masks of dropout come from the seed of the recipe',
      ])
      expect(networkOf(recipe.model, 3).layers).toEqual(recipe.model.layers)
      // Through YAML and back it is the same, and where it came from does not count.
      const again = recipeSchema.parse({ ...recipe, model: { ...recipe.model, from: '/elsewhere.mjs' } })
      expect(recipeDigest(again)).toBe(recipeDigest(recipe))
      expect(await withOwnNetwork(again, 3, { onNote: () => expect.unreachable() })).toBe(again)
    },
    MINUTE,
  )

  it('is read from a saved model.json, or its folder', async () => {
    const layers = [
      { class_name: 'Flatten', config: { name: 'flat', batch_input_shape: [null, 12, 12, 3] } },
      { class_name: 'Dense', config: { name: 'predictions', units: 3, activation: 'linear' } },
    ]
    const folder = join(base, 'saved')
    await mkdir(folder)
    const topology = { class_name: 'Sequential', config: { name: 's', layers } }
    await writeFile(join(folder, 'model.json'), JSON.stringify({ format: 'layers-model', modelTopology: { model_config: topology } }))
    for (const path of [folder, join(folder, 'model.json')]) {
      const { recipe, notes } = await read(path)
      expect(recipe.model.layers?.map(({ type }) => type)).toEqual(['flatten', 'dense'])
      expect(notes.join()).toMatch(/its weights are not/)
    }
    await writeFile(join(base, 'graph.json'), JSON.stringify({ format: 'graph-model' }))
    expect(await refusal(join(base, 'graph.json'))).toMatch(/GraphModel.*tfjs_layers_model/)
    await writeFile(join(base, 'half.json'), '{"format":')
    expect(await refusal(join(base, 'half.json'))).toMatch(/not whole JSON/)
  })
})

describe('a module that does not do', () => {
  it.each([
    [
      'throws',
      'export default () => {\n  const a = undefined\n  return a.layers\n}',
      /^model\.from: bad-0\.mjs: line 3: TypeError: Cannot read properties of undefined/,
    ],
    ['cannot be parsed', 'export default () => {\n  return tf..layers\n}', /line 2: SyntaxError: Unexpected token/],
    ['imports what is not there', "import 'not-there'\nexport default () => 1", /Error: Cannot find package 'not-there'/],
    [
      'exports nothing',
      'export const model = 1',
      /its default export is nothing; export default \(\{ tf, inputSize, channels, classes \}\)/,
    ],
    ['returns no model', 'export default async () => [1]', /its function gave a list; return a tf\.LayersModel/],
    ['throws no error', "export default () => { throw 'so\\nthere' }", /it threw a string: so there$/],
    ['throws later', "export default () => new Promise(() => setTimeout(() => { throw new RangeError('late') }, 10))", /RangeError: late/],
    ['ends the process', 'export default () => process.exit(3)', /its process ended with exit code 3 before it gave a network/],
    [
      'has a layer of its own class',
      "export default ({ tf }) => {\n  class Twice extends tf.layers.Layer { static className = 'Twice'; call(x) { return x } }\n  return tf.sequential({ layers: [new Twice({ name: 'twice', inputShape: [12, 12, 3] })] })\n}",
      /layer twice \(Twice\) is of a class of your own.*use the layers of the tf/,
    ],
    [
      'uses a layer twice',
      "export default ({ tf }) => {\n  const x = tf.input({ shape: [12, 12, 3] })\n  const c = tf.layers.conv2d({ name: 'c', filters: 3, kernelSize: 1 })\n  return tf.model({ inputs: x, outputs: tf.layers.dense({ units: 3 }).apply(tf.layers.flatten().apply(c.apply(c.apply(x)))) })\n}",
      /layer c \(Conv2D\) is used more than once/,
    ],
  ])('%s', { timeout: MINUTE }, async (what, text, message) => {
    const names: Record<string, number> = { throws: 0 }
    expect(await refusal(await moduleOf(`bad-${String(names[what] ?? 1)}.mjs`, text))).toMatch(message)
  })

  it(
    'is in an endless loop',
    async () => {
      expect(await refusal(await moduleOf('loop.mjs', 'for (;;);'), 6000)).toMatch(
        /loop\.mjs: it has not given a network within 6 s; it may be in an endless loop/,
      )
    },
    MINUTE,
  )

  it('is not there, or is no module', async () => {
    expect(await refusal(join(base, 'nowhere.mjs'))).toMatch(/there is no such file; give the path of a module/)
    expect(await refusal(await moduleOf('model.h5', 'x'))).toMatch(/neither a module nor a model\.json.*convert a Keras model/)
    expect(await refusal(base)).toMatch(/this folder has no model\.json/)
  })

  it(
    'is left alone when the signal says so',
    async () => {
      const abort = new AbortController()
      const going = withOwnNetwork(recipeOf(await moduleOf('slow.mjs', 'for (;;);')), 3, { onNote: () => undefined, signal: abort.signal })
      setTimeout(() => abort.abort(new TrainError('INTERRUPTED', 'enough')), 500)
      await expect(going).rejects.toThrow('enough')
    },
    MINUTE,
  )
})
