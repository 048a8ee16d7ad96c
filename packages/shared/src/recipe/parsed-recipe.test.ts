import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { TrainError } from '../errors/train-error.js'
import { recipeJsonSchema } from './json-schema.js'
import { RECIPE_SCHEMA_FILE } from './json-schema-file.js'
import { parseRecipe, recipeText } from './parsed-recipe.js'
import { recipeDigest } from './recipe-digest.js'
import type { Recipe } from './schema.js'

const BASE = 'model: {name: vgg-a}\ndata: {train: pictures}\nsteps: 30\n'

function parse(text: string, set: string[] = []): Recipe {
  return parseRecipe(text, { file: '/recipes/small.yaml', set })
}

function errorOf(text: string, set: string[] = []): TrainError {
  try {
    parse(text, set)
  } catch (error) {
    if (error instanceof TrainError) return error
    throw error
  }
  throw new Error('the recipe was taken')
}

describe('a recipe', () => {
  it('has its defaults filled, its paths absolute and the name of its file', () => {
    const recipe = parse(BASE)
    expect(recipe).toMatchObject({
      name: 'small',
      data: { train: '/recipes/pictures', validation: { split: 0.1 }, normalize: 'meanAndStd', augment: { shortSide: 224 } },
      batch: { global: 256, micro: 32, leaf: 1 },
      evaluation: { everyEpochs: 1, scales: [224] },
      run: { workers: { count: 2 }, queue: 'embedded' },
    })
  })

  it('reads the same from the text a run stores', () => {
    const recipe = parse(`${BASE}learningRate: {schedule: {type: plateau}}\ninitialization: {from: a.safetensors}`)
    const again = parseRecipe(recipeText(recipe), { file: '/elsewhere/recipe.yaml' })
    expect(again).toEqual(recipe)
    expect(recipeText(again)).toBe(recipeText(recipe))
  })

  it('takes a key with nothing behind it as left out', () => {
    expect(parse(`${BASE}run:\n  # workers: {count: 4}\nbatch:\n`).run.workers.count).toBe(2)
  })

  it.each([
    ['normal', 'mean'],
    ['he', 'meanAndStd'],
    ['glorotUniform', 'meanAndStd'],
  ])('with %s initialization is normalized by %s', (method, normalize) => {
    expect(parse(`${BASE}initialization: {method: ${method}}`).data.normalize).toBe(normalize)
  })

  it('is tested at the middle of a drawn training scale', () => {
    const { evaluation } = parse('model: {name: vgg-a}\ndata: {train: p, augment: {shortSide: [256, 512]}}\nsteps: 1')
    expect(evaluation.scales).toEqual([384])
  })
})

describe('what a recipe leaves out of its network', () => {
  const modelOf = (model: string): unknown => parse(`model: ${model}\ndata: {train: p}\nsteps: 1`).model

  it('follows the network', () => {
    const vgg = { width: 1, inputSize: 224, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten' }
    expect(modelOf('{name: vgg-d}')).toEqual({ ...vgg, name: 'vgg-d' })
    expect(modelOf('{name: alexnet}')).toEqual({ ...vgg, name: 'alexnet', inputSize: 227 })
    const head = { fullyConnected: [], dropout: 0, head: 'globalAveragePooling' }
    expect(modelOf('{name: resnet-50}')).toEqual({ ...vgg, name: 'resnet-50', ...head })
    expect(modelOf('{name: small-cnn}')).toEqual({ ...vgg, name: 'small-cnn', inputSize: 28, fullyConnected: [64], dropout: 0.2 })
  })

  it('has one form, and so one digest, however it is written', () => {
    expect(modelOf('{name: vgg-d, channels: 3, batchNormalization: false}')).toEqual(modelOf('{name: vgg-d}'))
    expect(modelOf('{name: alexnet, groups: 2}')).toEqual(modelOf('{name: alexnet}'))
    expect(modelOf('{name: small-cnn, channels: 3}')).toMatchObject({ channels: 3 })
    expect(modelOf('{name: resnet-18, normalizationEpsilon: 1.0e-5}')).toEqual(modelOf('{name: resnet-18}'))
    for (const text of [
      ...['{name: small-cnn, channels: 3}', '{name: resnet-18, squeezeExcitation: 16}', '{name: alexnet, groups: 1}'],
      '{name: resnet-18, normalizationEpsilon: 0.001}',
    ])
      expect(modelOf(JSON.stringify(modelOf(text)))).toEqual(modelOf(text))
  })
})

describe('a wrong recipe', () => {
  it.each<[what: string, text: string, message: RegExp]>([
    [
      'unknown key',
      `${BASE}optimizer: {momentun: 0.9}`,
      /^\/recipes\/small\.yaml:4:13: unknown key "momentun" in optimizer; did you mean "momentum"\?$/,
    ],
    ['key in snake case', `${BASE}optimizer: {weight_decay: 0.9}`, /unknown key "weight_decay" .* did you mean "weightDecay"\?$/],
    ['key at the wrong place', `${BASE}momentum: 0.9`, /:4:1: unknown key "momentum" in the recipe; did you mean optimizer\.momentum\?$/],
    ['key that resembles none', `${BASE}batch: {colour: 3}`, /unknown key "colour" in batch; known keys: global, micro, leaf$/],
    [
      'value of no list',
      'model: {name: vgg-f}\ndata: {train: p}\nsteps: 3',
      /:1:15: model\.name cannot be "vgg-f"; did you mean "vgg-a"\? It is one of vgg-a, /,
    ],
    [
      'layer of no kind in a head',
      'model: {base: vgg-d, weights: w, trainable: false, head: [{type: flatten}, {type: dens}]}\ndata: {train: p}\nsteps: 3',
      /:1:\d+: model\.head\[1\]\.type cannot be "dens"; did you mean "dense"\? It is one of flatten, /,
    ],
    [
      'frozen weights from nowhere',
      'model: {base: vgg-d, trainable: false}\ndata: {train: p}\nsteps: 3',
      /:1:\d+: model\.trainable: random weights that are never trained are of no use; give model\.weights/,
    ],
    [
      'weights from two places',
      'model: {base: vgg-d, weights: w}\ninitialization: {from: a}\ndata: {train: p}\nsteps: 3',
      /:2:18: model\.weights and initialization\.from both say where weights come from: keep one of them$/,
    ],
    ['text for a number', `${BASE}seed: one`, /:4:7: seed must be a number, not "one"$/],
    ['part of a step', 'model: {name: vgg-a}\ndata: {train: p}\nsteps: 1.5', /:3:8: steps must be a whole number, not 1\.5$/],
    ['too small', `${BASE}batch: {micro: 0}`, /:4:16: batch\.micro must be more than 0, not 0$/],
    ['too large', `${BASE}optimizer: {momentum: 1}`, /optimizer\.momentum must be less than 1, not 1$/],
    ['Nesterov without momentum', `${BASE}optimizer: {momentum: 0, nesterov: true}`, /:4:36: optimizer\.nesterov needs a momentum above 0/],
    ['missing part', 'model: {name: vgg-a}\nsteps: 1', /:1:1: data is missing: what is learned from$/],
    ['missing value of a union', `${BASE}learningRate: {schedule: {type: steps}}`, /learningRate\.schedule\.at is missing: steps at which/],
    [
      'type of no union',
      `${BASE}learningRate: {schedule: {type: stps}}`,
      /learningRate\.schedule\.type cannot be "stps"; did you mean "steps"\?/,
    ],
    ['key of no type', `${BASE}learningRate: {schedule: {type: cosine, patience: 3}}`, /unknown key "patience" in learningRate\.schedule/],
    [
      'neither text nor split',
      'model: {name: vgg-a}\ndata: {train: p, validation: 3}\nsteps: 1',
      /data\.validation must be text or a mapping of keys to values, not 3$/,
    ],
    [
      'split misspelt',
      'model: {name: vgg-a}\ndata: {train: p, validation: {splt: 0.1}}\nsteps: 1',
      /unknown key "splt" in data\.validation; did you mean "split"\?/,
    ],
    [
      'whole part misspelt',
      'modle: {name: vgg-a}\ndata: {train: p}\nsteps: 1',
      /:1:1: unknown key "modle" in the recipe; did you mean "model"\?$/,
    ],
    ['without reason', `${BASE}exact: false`, /exact: false allows run.exchange.precision: bfloat16 and nothing else: leave it out$/],
    ['bad name', `${BASE}name: a b`, /name cannot be "a b": use letters, digits/],
    ['no length', 'model: {name: vgg-a}\ndata: {train: p}', /how long to train: give steps .* or epochs/],
    ['two lengths', `${BASE}epochs: 3`, /:4:1: steps and epochs both say how long to train/],
    [
      'batch that does not divide',
      `${BASE}batch: {global: 250}`,
      /leaves of 32 \(micro 32 × leaf 1\); with leaf 1, micro can be 1, 2, 5, 10, 25, 50, 125 or 250; or take a global batch of 256$/,
    ],
    [
      'an option of another network',
      'model: {name: resnet-18, fullyConnected: [64]}\ndata: {train: p}\nsteps: 1',
      /:1:42: model\.fullyConnected: resnet-18 has no hidden fully connected layers; leave it out$/,
    ],
    [
      'groups where there are none',
      'model: {name: vgg-a, groups: 2}\ndata: {train: p}\nsteps: 1',
      /model\.groups: only alexnet has groups/,
    ],
    [
      'batch normalization where there is none',
      'model: {name: small-cnn, batchNormalization: true}\ndata: {train: p}\nsteps: 1',
      /model\.batchNormalization: small-cnn has none; leave it out/,
    ],
    [
      'batch normalization over one picture',
      'model: {name: vgg-a, batchNormalization: true}\ndata: {train: p}\nsteps: 1\nbatch: {micro: 1}',
      /:4:16: batch\.micro must be 2 or more: batch normalization/,
    ],
    [
      'an input too small for the network',
      'model: {name: alexnet, inputSize: 64}\ndata: {train: p}\nsteps: 1',
      /:1:35: model\.inputSize: 64 pixels are too few for .* of alexnet; use 67 or more$/,
    ],
    [
      'a network misspelt',
      'model: {name: resnet18}\ndata: {train: p}\nsteps: 1',
      /model\.name cannot be "resnet18"; did you mean "resnet-18"\?/,
    ],
    ['channels', 'model: {name: vgg-a, channels: 2}\ndata: {train: p}\nsteps: 1', /model\.channels cannot be 2; one of 1, 3$/],
    ['leaf that does not divide', `${BASE}batch: {leaf: 3}`, /:4:15: .* with micro 32, leaf can be 1, 2, 4 or 8$/],
    [
      'scale below the input',
      'model: {name: vgg-a}\ndata: {train: p, augment: {shortSide: 200}}\nsteps: 1',
      /shortSide must be at least the input size 224, not 200/,
    ],
    ['falling steps', `${BASE}learningRate: {schedule: {type: steps, at: [20, 10]}}`, /:4:49: learningRate\.schedule\.at must rise/],
    ['secret', `${BASE}run: {queue: "redis://me:hidden@host"}`, /must not hold a password: .* LOCKSTEP_QUEUE_PASSWORD$/],
    ['empty', '# nothing', /^\/recipes\/small\.yaml: the recipe is empty; `lockstep init FOLDER`/],
    ['list', '- a', /:1:1: a recipe is a mapping/],
    ['bad YAML', 'model: {name: vgg-a\ndata: {train: p}\n', /^\/recipes\/small\.yaml:2:1: not valid YAML: /],
    ['key twice', 'seed: 1\nseed: 2', /:2:1: not valid YAML: Map keys must be unique$/],
    ['tag', 'seed: !date 1', /not valid YAML: Unresolved tag/],
    [
      'alias bomb',
      'a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]',
      /too many aliases/,
    ],
  ])('(%s) is one line with place and remedy', (_, text, message) => {
    const error = errorOf(text)
    expect(error.code).toBe('RECIPE_INVALID')
    expect(error.message.split('\n')).toHaveLength(1)
    expect(error.message).toMatch(message)
  })

  it('names every mistake, the first in the file first', () => {
    const lines = errorOf('stepz: 3\nmodel: {name: vgg-a, width: wide}\ndata: {train: p, shufle: none}').message.split('\n')
    expect(lines.map((line) => line.replace(/: .*/, ''))).toEqual([
      '/recipes/small.yaml:1:1',
      '/recipes/small.yaml:2:29',
      '/recipes/small.yaml:3:18',
    ])
  })

  it('does not repeat a secret', () => {
    expect(errorOf(`${BASE}run: {queue: "redis://me:hidden@host"}`).message).not.toContain('hidden')
  })
})

describe('--set', () => {
  it.each<[set: string, read: (recipe: Recipe) => unknown, value: unknown]>([
    ['batch.global=64', (recipe) => recipe.batch.global, 64],
    ['model.fullyConnected=[16, 8]', (recipe) => recipe.model.fullyConnected, [16, 8]],
    ['learningRate.schedule={type: cosine}', (recipe) => recipe.learningRate.schedule, { type: 'cosine' }],
    ['name=other', (recipe) => recipe.name, 'other'],
    ['data.train=/there', (recipe) => recipe.data.train, '/there'],
    ['epochs=4', (recipe) => [recipe.steps, recipe.epochs], [undefined, 4]],
    ['evaluation.everySteps=5', (recipe) => recipe.evaluation.everyEpochs, undefined],
  ])('%s changes the recipe', (set, read, value) => {
    expect(read(parse(BASE, [set]))).toEqual(value)
  })

  it.each<[set: string, code: string, message: RegExp]>([
    ['batch', 'USAGE', /^--set batch: expected path=value/],
    ['=3', 'USAGE', /expected path=value/],
    ['__proto__.x=3', 'USAGE', /expected path=value/],
    ['steps=[1', 'USAGE', /the value is not YAML/],
    ['steps.x=1', 'USAGE', /steps has no keys of its own/],
    ['mode.name=3', 'RECIPE_INVALID', /^--set mode\.name=3: unknown key "mode" in the recipe; did you mean "model"\?$/],
    ['run.workers.count=many', 'RECIPE_INVALID', /^--set run\.workers\.count=many: run\.workers\.count must be a number, not "many"$/],
    ['batch.global=250', 'RECIPE_INVALID', /^--set batch\.global=250: batch: a global batch of 250 does not divide/],
  ])('%s is refused', (set, code, message) => {
    const error = errorOf(BASE, [set])
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })
})

describe('cached features', () => {
  const TRANSFER = 'model: {base: vgg-a, weights: a.safetensors, trainable: false, cacheFeatures: true}'

  it.each([
    ['shortSide: [224, 256]', /^r\.yaml:\d+:\d+: data\.augment\.shortSide makes a picture look different .*: give one number/],
    ['crop: random', /data\.augment\.crop .*: set crop: center, or leave out model\.cacheFeatures/],
    ['flip: true', /data\.augment\.flip .*: set flip: false/],
    ['colorShift: 0.1', /data\.augment\.colorShift .*: set colorShift: 0/],
  ])('are refused with %s', (augment, message) => {
    const text = `steps: 30\ndata: {train: elsewhere, augment: {${augment}}}\n${TRANSFER}`
    expect(() => parseRecipe(text, { file: 'r.yaml' })).toThrow(message)
  })

  it('count into the digest, since bits depend on which pictures are computed together', () => {
    const text = `steps: 30\ndata: {train: elsewhere}\n${TRANSFER}`
    const [kept, computed] = [text, text.replace(', cacheFeatures: true', '')].map((one) =>
      recipeDigest(parseRecipe(one, { file: 'r.yaml' })),
    )
    expect(kept).not.toBe(computed)
  })
})

describe('the digest of a recipe', () => {
  const digest = (set: string[], text = BASE): string => recipeDigest(parse(text, set))

  it.each([
    'run.workers.count=5',
    'run.checkpoint.everySteps=7',
    'name=other',
    'data.train=/other',
    'data.normalize=meanAndStd',
    'batch.micro=32',
  ])('is the same with %s', (set) => {
    expect(digest([set])).toBe(digest([]))
  })

  it.each([
    'seed=2',
    'steps=31',
    'batch.micro=16',
    'data.validation={split: 0.2}',
    'initialization.from=a.safetensors',
    'model.name=vgg-b',
  ])('is another with %s', (set) => {
    expect(digest([set])).not.toBe(digest([]))
  })

  it('does not depend on the order of keys', () => {
    expect(digest([], 'steps: 30\ndata: {train: elsewhere}\nmodel: {name: vgg-a}')).toBe(digest([]))
  })
})

describe('recipe.schema.json', () => {
  it('is what the schema writes; if not, write it anew as json-schema-file.ts says', async () => {
    expect(JSON.parse(await readFile(RECIPE_SCHEMA_FILE, 'utf8'))).toEqual(recipeJsonSchema())
  })
})
