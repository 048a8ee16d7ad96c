import { z } from 'zod'
import { MODEL_NAMES, OWN, withModelDefaults } from '../models/families.js'
import { layerSchema } from './layer-schema.js'
import { runSchema } from './run-schema.js'

/**
 * The one schema of a recipe. It validates, fills defaults, and writes the JSON Schema that editors complete from.
 * What is computed stands above `run`; where and how it is computed stands under it.
 */

export const EVALUATION_PROTOCOLS = ['center', 'dense', 'multi-crop', 'dense+multi-crop'] as const

const positive = z.int().positive()

const headLayerSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('flatten') }),
  z.strictObject({ type: z.literal('globalAveragePooling') }),
  z.strictObject({ type: z.literal('dropout'), rate: z.number().gt(0).lt(1).describe('Share of units dropped.') }),
  z.strictObject({
    type: z.literal('dense'),
    units: positive,
    activation: z.enum(['relu', 'linear']).default('relu').describe('What its outputs go through.'),
  }),
])

const givenModelSchema = z
  .strictObject({
    name: z
      .enum([...MODEL_NAMES, OWN])
      .describe(
        'The network: a configuration of the VGG paper or its alias (vgg11, vgg13, vgg16, vgg19 are A, B, D, E), or another. own: a network of your own, from `from` or `layers`.',
      ),
    base: z.enum(MODEL_NAMES).optional().describe('The same as name, where weights come from elsewhere.'),
    width: z.number().positive().max(16).default(1).describe('Multiplier of the channels of every convolution.'),
    inputSize: positive
      .max(4096)
      .optional()
      .describe(
        'Height and width of the input, pixels. Default: 224; alexnet 227, small-cnn 28. Least: 32; alexnet 67, alexnet-2014 63, small-cnn 18.',
      ),
    channels: z
      .literal([1, 3])
      .optional()
      .describe('Channels of the input: 3, or 1, for which pictures become grey. Default: 3; small-cnn 1.'),
    fullyConnected: z
      .array(positive)
      .optional()
      .describe('Units of the hidden fully connected layers. Default: [4096, 4096]; small-cnn [64]. A resnet has none.'),
    dropout: z
      .number()
      .min(0)
      .lt(1)
      .optional()
      .describe('Share of units dropped after each hidden fully connected layer. Default: 0.5; small-cnn 0.2. A resnet has none.'),
    head: z
      .union([z.enum(['flatten', 'globalAveragePooling']), z.array(headLayerSchema).min(1)])
      .optional()
      .describe(
        'What stands between the convolutions and the fully connected layers, or a list of all layers of the head but the last, whose units are the classes. Default: flatten; resnet globalAveragePooling.',
      ),
    task: z
      .enum(['classes', 'binary', 'regression'])
      .optional()
      .describe(
        'classes: a unit each, soft-max and cross-entropy. binary: one sigmoid unit and binary cross-entropy, for two classes. regression: one value and mean squared error, the targets being the numbers that the class folders are called. Default: classes.',
      ),
    targets: z.array(z.number()).min(1).optional().describe('regression: the number of every class folder. A run fills it in.'),
    weights: z
      .string()
      .min(1)
      .optional()
      .describe('A checkpoint that everything before the head starts from; the head is new. Relative to the recipe.'),
    weightsDigest: z
      .string()
      .regex(/^[0-9a-f]{64}$/, 'give a SHA-256 in hexadecimal')
      .optional()
      .describe('SHA-256 of the frozen values, which the file in weights must have. A run fills it in.'),
    includeTop: z
      .literal(false)
      .optional()
      .describe('As Keras has it: the head of the checkpoint in weights is left out. That is always so.'),
    trainable: z
      .boolean()
      .optional()
      .describe('false: what comes from weights stays as it is, and only the head is trained and travels. Default: true.'),
    cacheFeatures: z
      .boolean()
      .optional()
      .describe(
        'true: what the frozen base makes of every training picture is computed once, in fixed batches of batch.micro, and kept on disk; for pictures that are the same in every epoch. Default: false.',
      ),
    batchNormalization: z
      .boolean()
      .optional()
      .describe('vgg: batch normalization between every convolution and its ReLU. Default: false; a resnet always has it.'),
    normalizationEpsilon: z
      .number()
      .positive()
      .max(1)
      .optional()
      .describe('What batch normalization adds to a variance. Default: 0.00001, as in PyTorch; Keras adds 0.001.'),
    squeezeExcitation: positive
      .optional()
      .describe('Ratio r of squeeze-and-excitation blocks (the paper: 16): in every residual block, elsewhere after every convolution.'),
    groups: z.literal([1, 2]).optional().describe('alexnet: groups of convolutions 2, 4 and 5. Default: 2, as published.'),
    from: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A network of your own instead of a name: a module whose default export makes a tf.LayersModel from {tf, inputSize, channels, classes}, or a saved model.json. Relative to the recipe.',
      ),
    layers: z
      .array(layerSchema)
      .min(1)
      .optional()
      .describe('The layers of a network of your own. A run fills them in, and `from` is then not read again.'),
  })
  .describe('The network. Its classes come from the data set.')
  .refine(({ base }) => base === undefined, { path: ['base'], message: 'name and base mean the same; keep one of them' })
  .transform(withModelDefaults)

type Named = z.input<typeof givenModelSchema>
type GivenModel = Omit<Named, 'name'> & { name?: Named['name'] | undefined }

/** `base` is another word for `name`: transfer learning speaks of a base. A network of one's own needs neither. */
export const modelSchema = z.preprocess((given: GivenModel): unknown => {
  const wrong: unknown = given
  if (typeof wrong !== 'object' || wrong === null || 'name' in given) return given
  if (!('base' in given)) return 'from' in given || 'layers' in given ? { name: OWN, ...given } : given
  const { base, ...rest } = given
  return { name: base, ...rest }
}, givenModelSchema)

const shortSideSchema = z
  .union([positive, z.tuple([positive, positive])])
  .describe('Training scale S: the smallest side after rescaling, pixels, or [from, to] drawn per picture. Default: the input size.')

const rgbSchema = z.tuple([z.number(), z.number(), z.number()])
const statisticsSchema = z
  .strictObject({
    mean: rgbSchema.describe('Mean of red, green and blue, 0–255.'),
    std: rgbSchema.describe('Standard deviation of red, green and blue, 0–255.'),
    greyStd: z.number().optional().describe('Standard deviation of grey, 0–255, for networks of one channel.'),
  })
  .describe(
    'What pictures are normalized with. Default: with model.weights what that checkpoint was trained with, else what the training folder has. A run fills it in where it has model.weights.',
  )

export const dataSchema = z
  .strictObject({
    train: z.string().min(1).describe('A packed folder, or a plain folder with one folder a class. Relative to the recipe.'),
    validation: z
      .union([
        z.string().min(1),
        z.strictObject({ split: z.number().gt(0).lt(1).describe('Share of the training folder kept for validation.') }),
      ])
      .default({ split: 0.1 })
      .describe('Another folder, or {split: 0.1}: a stratified share of the training folder, keyed by the seed.'),
    classes: z
      .array(z.string().min(1))
      .min(2)
      .optional()
      .describe('Only these class folders, of training and validation alike. Default: all there are.'),
    shuffle: z.enum(['full', 'block', 'none']).default('full').describe('Order of the samples of an epoch.'),
    normalize: z
      .enum(['mean', 'meanAndStd'])
      .optional()
      .describe(
        "mean: 0–255 minus the mean RGB (the paper). Default: with model.weights that checkpoint's; mean with normal initialization, else meanAndStd.",
      ),
    statistics: statisticsSchema.optional(),
    augment: z
      .strictObject({
        shortSide: shortSideSchema.optional(),
        crop: z.enum(['random', 'center']).default('center').describe('Where the input is cut from.'),
        flip: z.boolean().default(false).describe('Mirror half of the pictures.'),
        colorShift: z.number().min(0).default(0).describe('Standard deviation of the PCA colour shift; the paper: 0.1.'),
      })
      .prefault({})
      .describe('Training pictures only; validation is never touched.'),
  })
  .describe('What is learned from.')

export const batchSchema = z
  .strictObject({
    global: z.int().positive().max(1_048_576).default(256).describe('Samples per step, B.'),
    micro: positive.default(32).describe('Samples computed at once, b.'),
    leaf: positive.default(1).describe('Micro-batches a leaf, k. B must be a multiple of b · k.'),
  })
  .describe('How a step is divided. None of it depends on the number of workers.')

export const optimizerSchema = z
  .strictObject({
    type: z.literal('sgd').default('sgd').describe('Stochastic gradient descent with momentum.'),
    momentum: z.number().min(0).lt(1).default(0.9).describe('μ in v ← μ·v − ε·(g + λ·w); w ← w + v.'),
    nesterov: z
      .boolean()
      .default(false)
      .describe('Nesterov momentum: w ← w + μ·v − ε·(g + λ·w) with the new v, as in Keras, and in PyTorch while ε stands still.'),
    weightDecay: z.number().min(0).default(5e-4).describe('L2 penalty λ, added to the gradient.'),
    decayOn: z.enum(['kernels', 'all']).default('kernels').describe('Which parameters the penalty acts on: kernels alone, or biases too.'),
    clipNorm: z
      .number()
      .positive()
      .optional()
      .describe(
        'Gradient clipping: where the L2 norm of the whole gradient of a step, before the penalty, is above this, the gradient is scaled down to it. Default: none.',
      ),
  })
  .describe('The update of the weights.')

export const lossSchema = z
  .strictObject({
    labelSmoothing: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe('s: training targets are 1 − s for the true class, plus s / K for each of the K classes. Evaluation is not smoothed.'),
  })
  .describe('What training minimizes: soft-max cross entropy; with model.task: regression the mean squared error.')

const factor = z.number().gt(0).lt(1).default(0.1).describe('The rate is multiplied by this at a drop.')
export const scheduleSchema = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('plateau'),
      monitor: z.enum(['top1', 'top5', 'loss']).default('top1').describe('Validation metric that must improve.'),
      factor,
      patience: positive.default(2).describe('Evaluations without improvement before a drop.'),
      minDelta: z.number().min(0).default(0).describe('A smaller gain is no improvement.'),
      maxDrops: z.int().min(0).default(3).describe('Drops in all; the paper: 3.'),
      thenStop: z.boolean().default(true).describe('End the run at the plateau after the last drop.'),
    }),
    z.strictObject({ type: z.literal('steps'), at: z.array(positive).min(1).describe('Steps at which the rate drops, rising.'), factor }),
    z.strictObject({ type: z.literal('cosine') }),
    z.strictObject({ type: z.literal('constant') }),
  ])
  .describe('How the rate falls: plateau, steps, cosine or constant.')

export const learningRateSchema = z
  .strictObject({
    initial: z.number().positive().default(0.01).describe('The rate ε at the start; the paper: 0.01.'),
    warmupSteps: z.int().min(0).default(0).describe('Steps over which the rate rises linearly to `initial`.'),
    schedule: scheduleSchema.prefault({ type: 'constant' }),
  })
  .describe('The learning rate.')

export const initializationSchema = z
  .strictObject({
    method: z
      .enum(['normal', 'he', 'glorot', 'heUniform', 'glorotUniform'])
      .default('he')
      .describe('Distribution of the first weights; biases start at 0.'),
    std: z
      .number()
      .positive()
      .default(0.01)
      .describe('Standard deviation, for `normal`. The paper’s variance of 0.01 is a standard deviation of 0.1.'),
    from: z
      .string()
      .min(1)
      .optional()
      .describe('A checkpoint: the layers the VGG paper copies from configuration A come from there. Relative to the recipe.'),
    newHead: z.boolean().default(false).describe('Leave the last layer random when the checkpoint has another number of classes.'),
  })
  .describe('The first weights.')

export const evaluationSchema = z
  .strictObject({
    everyEpochs: z.number().positive().optional().describe('Epochs between evaluations, rounded up to whole steps. Default: 1.'),
    everySteps: positive.optional().describe('Steps between evaluations, instead of everyEpochs.'),
    protocol: z
      .enum(EVALUATION_PROTOCOLS)
      .default('center')
      .describe(
        'center: one centre crop. dense: the fully connected layers as convolutions over the whole picture. multi-crop: 5 × 5 crops and their mirror images. dense+multi-crop: the mean of both. Costs: docs/evaluation.md.',
      ),
    scales: z
      .array(positive)
      .min(1)
      .optional()
      .describe(
        'Test scales Q: the smallest side, pixels; soft-max outputs are averaged over them. Default: the training scale (its middle if drawn).',
      ),
    flip: z.boolean().default(false).describe('Look at mirror images too; multi-crop does in any case.'),
    batch: positive.default(32).describe('Pictures of an evaluation batch; fixed, since bits depend on it.'),
  })
  .describe('When and how the validation pictures are looked at. The last step is always evaluated.')

export const recipeSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'use letters, digits, ".", "_" and "-"')
      .default('recipe')
      .describe('Name of the run directory. Default: the name of the file.'),
    seed: z.int().min(0).max(0xffff_ffff).default(1).describe('Key of every random number.'),
    exact: z
      .boolean()
      .default(true)
      .describe('The result is one bit pattern whatever the number of workers. false: allows run.exchange.precision: bfloat16.'),
    model: modelSchema,
    data: dataSchema,
    batch: batchSchema.prefault({}),
    loss: lossSchema.prefault({}),
    optimizer: optimizerSchema.prefault({}),
    learningRate: learningRateSchema.prefault({}),
    initialization: initializationSchema.prefault({}),
    steps: positive.optional().describe('Updates in all. One of `steps` and `epochs`.'),
    epochs: z.number().positive().optional().describe('Passes over the training data; rounded up to whole steps.'),
    evaluation: evaluationSchema.prefault({}),
    audit: z
      .strictObject({
        share: z
          .number()
          .min(0)
          .max(1)
          .default(0)
          .describe(
            'Share of leaves computed twice, on different workers, and compared before the commit; 0: none. What it catches and costs: docs/audits.md.',
          ),
      })
      .prefault({})
      .describe('A check on workers that compute wrong bits.'),
    onBadSample: z.enum(['stop']).default('stop').describe('A record that cannot be read ends the run with its name.'),
    nonFinite: z
      .enum(['stop', 'skip'])
      .default('stop')
      .describe(
        'A loss or weight that is not finite. stop: it ends the run, and the checkpoint before it is kept. skip: the update of that step is left out and counted; ten in a row end the run.',
      ),
    run: runSchema.prefault({}),
  })
  .describe('A Lockstep recipe: what a training run computes, and where.')

/** A recipe with every default filled in. Paths in it are absolute once it was loaded from a file. */
export type Recipe = z.infer<typeof recipeSchema>
/** A recipe as a person writes it: everything with a default may be left out. */
export type RecipeInput = z.input<typeof recipeSchema>
export type ScheduleRecipe = Recipe['learningRate']['schedule']
