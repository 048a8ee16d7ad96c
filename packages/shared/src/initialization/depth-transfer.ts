import { TrainError } from '../errors/train-error.js'
import { OWN } from '../models/families.js'
import { layoutOf } from '../models/layout-of.js'
import type { Network } from '../models/network.js'
import { convolutionNames, VGG_CONFIGURATIONS } from '../models/vgg.js'
import type { ParameterEntry } from '../parameters/layout.js'

/** What is known of the checkpoint that weights come from. */
export interface TransferSource {
  /** Every tensor of the file; those of `velocity/` are passed over. */
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]
  /** Configuration of the checkpoint's network (`vgg-a`). Left out: told from the names of its convolutions. */
  readonly model?: string | undefined
  readonly classes?: number | undefined
  /** For messages. */
  readonly file?: string | undefined
}

export interface TransferPlan {
  /** Tensors to copy, in layout order. The others keep their random values. */
  readonly copied: string[]
  /** A row a layer with parameters, for the table that is shown. */
  readonly rows: { readonly layer: string; readonly shape: readonly number[]; readonly source: 'checkpoint' | 'random' }[]
}

/**
 * The first four convolutions of configuration A, by the names they have in the deeper ones (arXiv 1409.1556v6, section
 * 3.1). A's other convolutions would fit into deeper layers by name and shape, and the paper does not copy them.
 */
const COPIED_CONVOLUTIONS = ['block1_conv1', 'block2_conv1', 'block3_conv1', 'block3_conv2'] as const

/**
 * Which tensors of a checkpoint start a network: of the same network as the target, all; into a deeper VGG from configuration A (or
 * A-LRN) the four convolutions, with their batch normalization, and the fully connected layers that the paper copies.
 * @param options.newHead leave `predictions` random when the checkpoint has another number of classes
 * @throws TrainError CHECKPOINT_MISMATCH naming the layer and both shapes, or the configuration that nothing is copied from
 */
export function planDepthTransfer(target: Network, source: TransferSource, options: { readonly newHead: boolean }): TransferPlan {
  const file = source.file ?? 'the checkpoint'
  const tensors = new Map(source.tensors.map((tensor) => [tensor.name, tensor.shape]))
  const isVgg = VGG_CONFIGURATIONS.some((configuration) => configuration === target.name)
  // Files of others that hold no VGG network are taken at their tensors' names.
  const model = source.model ?? (isVgg ? configurationOf(tensors, target.name) : target.name)
  // In a network of the user's own, names and shapes decide.
  const whole = model === target.name || target.name === OWN
  if (!whole && !(isVgg && (model === 'vgg-a' || model === 'vgg-a-lrn'))) {
    const fitting = isVgg ? `vgg-a, vgg-a-lrn or ${target.name}` : target.name
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `initialization.from: ${file} holds ${model ?? 'no VGG network'}; ${target.name} starts from a checkpoint of ${fitting}.`,
    )
  }
  requireNormalization(target, tensors, file)
  const classes = source.classes ?? tensors.get('predictions/bias')?.[0]
  const newHead = options.newHead && classes !== target.classes
  const plan: TransferPlan = { copied: [], rows: [] }
  for (const entry of layoutOf(target).entries) {
    const layer = entry.name.slice(0, entry.name.lastIndexOf('/'))
    const wanted = (whole || isCopied(layer)) && !(newHead && layer === 'predictions')
    if (wanted) {
      requireShape(entry, tensors.get(entry.name), { file, layer, classes, target })
      plan.copied.push(entry.name)
    }
    if (entry.kind === 'kernel') plan.rows.push({ layer, shape: entry.shape, source: wanted ? 'checkpoint' : 'random' })
  }
  return plan
}

function isCopied(name: string): boolean {
  return /^(fc\d+|predictions)$/.test(name) || COPIED_CONVOLUTIONS.some((copied) => name === copied || name === `${copied}_bn`)
}

/** Weights that were trained with batch normalization mean something else without, and the other way round. */
function requireNormalization(target: Network, tensors: ReadonlyMap<string, readonly number[]>, file: string): void {
  const [here, there] = [
    target.layers.some(({ type }) => type === 'batchNormalization'),
    [...tensors.keys()].some((name) => name.endsWith('/gamma')),
  ]
  if (here === there) return
  const [which, remedy] = here ? ['has no', 'leave out'] : ['has', 'set']
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `initialization.from: ${file} ${which} batch normalization, unlike the network; ${remedy} model.batchNormalization, or use another checkpoint.`,
  )
}

function requireShape(
  entry: ParameterEntry,
  found: readonly number[] | undefined,
  { file, layer, classes, target }: { file: string; layer: string; classes: number | undefined; target: Network },
): void {
  if (found?.join() === entry.shape.join()) return
  const wanted = entry.shape.join(' × ')
  if (found === undefined) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `initialization.from: layer ${layer}: ${file} has no tensor ${entry.name}, the network wants ${wanted}; use a checkpoint of a network with the same fully connected layers.`,
    )
  }
  const otherClasses = layer === 'predictions' && classes !== target.classes
  const remedy = otherClasses
    ? `the checkpoint knows ${String(classes ?? '?')} classes, the data has ${String(target.classes)}; use --new-head (initialization.newHead: true) to start the last layer anew`
    : 'use the same width, inputSize, fullyConnected and head'
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `initialization.from: layer ${layer}: ${entry.name} is ${found.join(' × ')} in ${file}, ${wanted} in the network; ${remedy}.`,
  )
}

/** Files of others carry no metadata: the convolutions' names tell the configuration. A and A-LRN look the same: `preferred` decides. */
function configurationOf(tensors: ReadonlyMap<string, readonly number[]>, preferred: string): string | undefined {
  const found = [...tensors.keys()].filter((name) => /^block\d+_conv\d+\/kernel$/.test(name)).sort()
  const fitting = VGG_CONFIGURATIONS.filter((configuration) => {
    const expected = convolutionNames(configuration)
      .map((name) => `${name}/kernel`)
      .sort()
    if (expected.join() !== found.join()) return false
    // C and D have the same names: C's last convolutions of a block are 1×1.
    const isPointwise = tensors.get('block3_conv3/kernel')?.[0] === 1
    return found.length !== convolutionNames('vgg-c').length || isPointwise === (configuration === 'vgg-c')
  })
  return fitting.find((configuration) => configuration === preferred) ?? fitting[0]
}
