import { z } from 'zod'

/**
 * The one schema of a recipe. It validates, fills defaults, and writes the JSON Schema that editors complete from.
 * What is computed stands above `run`; where and how it is computed stands under it.
 */

export const MODEL_NAMES = ['vgg-a', 'vgg-a-lrn', 'vgg-b', 'vgg-c', 'vgg-d', 'vgg-e', 'vgg11', 'vgg13', 'vgg16', 'vgg19'] as const

const positive = z.int().positive()

export const modelSchema = z
  .strictObject({
    name: z.enum(MODEL_NAMES).describe('The network: a configuration of the VGG paper, or its alias.'),
    width: z.number().positive().default(1).describe('Multiplier of the channels of every convolution.'),
    inputSize: positive.default(224).describe('Height and width of the input, pixels.'),
    fullyConnected: z.array(positive).default([4096, 4096]).describe('Units of the hidden fully connected layers.'),
    dropout: z.number().min(0).lt(1).default(0.5).describe('Share of units dropped after each hidden fully connected layer.'),
    head: z.enum(['flatten', 'globalAveragePooling']).default('flatten').describe('What stands between the convolutions and the fully connected layers.'),
  })
  .describe('The network. Its classes come from the data set.')

export const dataSchema = z.strictObject({
  train: z.string().min(1).describe('A packed folder, or a plain folder with one folder a class. Relative to the recipe.'),
  validation: z
    .union([z.string().min(1), z.strictObject({ split: z.number().gt(0).lt(1) })])
    .default({ split: 0.1 })
    .describe('Another folder, or {split: 0.1}: a stratified share of the training folder, keyed by the seed.'),
  shuffle: z.enum(['full', 'block', 'none']).default('full').describe('Order of the samples of an epoch.'),
  normalize: z.enum(['mean', 'meanAndStd']).optional().describe('mean: 0–255 minus the mean RGB (the paper). Default: mean with normal initialization, else meanAndStd.'),
  augment: z
    .strictObject({
      shortSide: z
        .union([positive, z.tuple([positive, positive])])
        .optional()
        .describe('Training scale S: the smallest side after rescaling, or [from, to] drawn per picture. Default: the input size.'),
      crop: z.enum(['random', 'center']).default('center').describe('Where the input is cut from.'),
      flip: z.boolean().default(false).describe('Mirror half of the pictures.'),
      colorShift: z.number().min(0).default(0).describe('Standard deviation of the PCA colour shift; the paper: 0.1.'),
    })
    .default({ crop: 'center', flip: false, colorShift: 0 })
    .describe('Training pictures only; validation is never touched.'),
})

export const batchSchema = z.strictObject({
  global: positive.default(256).describe('Samples per step, B.'),
  micro: positive.default(32).describe('Samples computed at once, b.'),
  leaf: positive.default(1).describe('Micro-batches a leaf, k.'),
})

export const optimizerSchema = z.strictObject({
  type: z.literal('sgd').default('sgd'),
  momentum: z.number().min(0).lt(1).default(0.9),
  nesterov: z.literal(false).default(false),
  weightDecay: z.number().min(0).default(5e-4).describe('L2 penalty, added to the gradient.'),
  decayOn: z.enum(['kernels', 'all']).default('kernels'),
})

const factor = z.number().gt(0).lt(1).default(0.1)
export const scheduleSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('plateau'),
    monitor: z.enum(['top1', 'top5', 'loss']).default('top1').describe('Validation metric that must improve.'),
    factor,
    patience: positive.default(2).describe('Evaluations without improvement before a drop.'),
    minDelta: z.number().min(0).default(0),
    maxDrops: z.int().min(0).default(3),
    thenStop: z.boolean().default(true).describe('End the run at the plateau after the last drop.'),
  }),
  z.strictObject({ type: z.literal('steps'), at: z.array(positive).describe('Steps at which the rate drops.'), factor }),
  z.strictObject({ type: z.literal('cosine') }),
  z.strictObject({ type: z.literal('constant') }),
])

export const learningRateSchema = z.strictObject({
  initial: z.number().positive().default(0.01),
  warmupSteps: z.int().min(0).default(0).describe('Steps over which the rate rises linearly to `initial`.'),
  schedule: scheduleSchema.default({ type: 'constant' }),
})

export const initializationSchema = z.strictObject({
  method: z.enum(['normal', 'he', 'glorot', 'heUniform', 'glorotUniform']).default('he'),
  std: z.number().positive().default(0.01).describe('Standard deviation, for `normal`.'),
  from: z.string().min(1).optional().describe('A checkpoint: the layers the VGG paper copies from configuration A come from there.'),
  newHead: z.boolean().default(false).describe('Leave the last layer random when the checkpoint has another number of classes.'),
})

export const evaluationSchema = z.strictObject({
  everyEpochs: z.number().positive().optional(),
  everySteps: positive.optional(),
  protocol: z.enum(['center']).default('center').describe('center: one centre crop.'),
  scales: z.array(positive).length(1).optional().describe('Test scale Q: the smallest side. Default: the training scale (its middle if drawn).'),
  flip: z.literal(false).default(false),
  batch: positive.default(32).describe('Pictures of an evaluation batch; fixed, since bits depend on it.'),
})

export const runSchema = z.strictObject({
  workers: z
    .strictObject({
      count: z.int().min(0).default(2).describe('Local workers the coordinator starts; 0: wait for others.'),
      minimum: positive.default(1),
      maximum: positive.default(64),
      computeThreads: positive.default(1).describe('TensorFlow threads a worker; part of the engine fingerprint.'),
    })
    .default({ count: 2, minimum: 1, maximum: 64, computeThreads: 1 }),
  averager: z.strictObject({ slices: positive.default(1) }).default({ slices: 1 }),
  checkpoint: z
    .strictObject({
      everySteps: positive.default(500),
      keep: positive.default(3).describe('Newest checkpoints kept; the best is kept besides.'),
      digestEverySteps: z.int().min(0).default(0).describe('Write stateDigest into metrics.jsonl every so many steps; 0: only at the end.'),
    })
    .default({ everySteps: 500, keep: 3, digestEverySteps: 0 }),
  queue: z.string().min(1).default('embedded').describe('embedded, or redis://… or rediss://…; a password comes from LOCKSTEP_QUEUE_PASSWORD.'),
  listen: z.strictObject({ host: z.string().min(1).default('127.0.0.1'), port: z.int().min(0).max(65_535).default(0) }).default({ host: '127.0.0.1', port: 0 }),
})

export const recipeSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'use letters, digits, ".", "_" and "-"'),
  seed: z.int().min(0).max(0xffff_ffff).default(1),
  exact: z.literal(true).default(true),
  model: modelSchema,
  data: dataSchema,
  batch: batchSchema.default({ global: 256, micro: 32, leaf: 1 }),
  optimizer: optimizerSchema.default({ type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' }),
  learningRate: learningRateSchema.default({ initial: 0.01, warmupSteps: 0, schedule: { type: 'constant' } }),
  initialization: initializationSchema.default({ method: 'he', std: 0.01, newHead: false }),
  steps: positive.optional().describe('Updates in all. One of `steps` and `epochs`.'),
  epochs: z.number().positive().optional().describe('Passes over the training data; rounded up to whole steps.'),
  evaluation: evaluationSchema.default({ protocol: 'center', flip: false, batch: 32 }),
  onBadSample: z.enum(['stop']).default('stop').describe('A record that cannot be read ends the run with its name.'),
  nonFinite: z.enum(['stop']).default('stop').describe('A loss that is not finite ends the run; the checkpoint before it is kept.'),
  run: runSchema.default({
    workers: { count: 2, minimum: 1, maximum: 64, computeThreads: 1 },
    averager: { slices: 1 },
    checkpoint: { everySteps: 500, keep: 3, digestEverySteps: 0 },
    queue: 'embedded',
    listen: { host: '127.0.0.1', port: 0 },
  }),
})

/** A recipe with every default filled in. Paths in it are absolute once it was loaded from a file. */
export type Recipe = z.infer<typeof recipeSchema>
/** A recipe as a person writes it: everything with a default may be left out. */
export type RecipeInput = z.input<typeof recipeSchema>
export type ScheduleRecipe = Recipe['learningRate']['schedule']
