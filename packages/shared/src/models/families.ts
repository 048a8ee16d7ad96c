import type { LayerSpec } from './graph.js'

/** Every name a recipe may give a network, and what is usual and possible for each family. Pure data, which the recipe's schema reads. */

export const VGG_NAMES = ['vgg-a', 'vgg-a-lrn', 'vgg-b', 'vgg-c', 'vgg-d', 'vgg-e', 'vgg11', 'vgg13', 'vgg16', 'vgg19'] as const
export const RESNET_NAMES = ['resnet-18', 'resnet-34', 'resnet-50', 'resnet-101', 'resnet-152'] as const
export const MODEL_NAMES = [...VGG_NAMES, 'alexnet', 'alexnet-2014', ...RESNET_NAMES, 'small-cnn'] as const

/** What a network of the user's own is called, whatever its layers are. */
export const OWN = 'own'

export type ModelName = (typeof MODEL_NAMES)[number] | typeof OWN
export type VggName = (typeof VGG_NAMES)[number]
export type ResnetName = (typeof RESNET_NAMES)[number]
export type Family = 'vgg' | 'alexnet' | 'alexnet-2014' | 'resnet' | 'small-cnn' | typeof OWN

/** A layer of a head that a recipe lists itself; the last one, `predictions`, is the data's. */
export type HeadLayer =
  | { readonly type: 'flatten' | 'globalAveragePooling' }
  | { readonly type: 'dropout'; readonly rate: number }
  | { readonly type: 'dense'; readonly units: number; readonly activation: 'relu' | 'linear' }

/** The part of a recipe that names a network; keys that only some networks have are left out where they say nothing new. */
export interface ModelOptions {
  readonly name: ModelName
  readonly width: number
  readonly inputSize: number
  readonly channels?: 1 | 3 | undefined
  readonly fullyConnected: readonly number[]
  readonly dropout: number
  /** Listed: these layers stand in the place of `fullyConnected` and `dropout`, which are empty then. */
  readonly head: 'flatten' | 'globalAveragePooling' | readonly HeadLayer[]
  /** binary: one unit for two classes. regression: one unit, a value. Left out: one a class. */
  readonly task?: 'classes' | 'binary' | 'regression' | undefined
  /** regression: the value of every class, in their order. Left out: they are still to be read from the data. */
  readonly targets?: readonly number[] | undefined
  /** A checkpoint that everything before the head comes from. */
  readonly weights?: string | undefined
  /** SHA-256 over the values that are not trained, hex. */
  readonly weightsDigest?: string | undefined
  /** false: what comes from `weights` stays as it is. */
  readonly trainable?: boolean | undefined
  /** true: the base's output is computed once a picture. */
  readonly cacheFeatures?: boolean | undefined
  readonly batchNormalization?: boolean | undefined
  /** What batch normalization adds to a variance. Left out: {@link NORMALIZATION_EPSILON}. */
  readonly normalizationEpsilon?: number | undefined
  readonly squeezeExcitation?: number | undefined
  readonly groups?: 1 | 2 | undefined
  /** own: the module or saved model that its layers come from. */
  readonly from?: string | undefined
  /** own: its layers, in network order. Left out: they are still to be read from `from`. */
  readonly layers?: readonly LayerSpec[] | undefined
}

/** What a network is where a recipe says nothing else. */
export interface FamilyDefaults {
  readonly inputSize: number
  readonly channels: 1 | 3
  readonly fullyConnected: readonly number[]
  readonly dropout: number
  readonly head: 'flatten' | 'globalAveragePooling'
  readonly batchNormalization: boolean
  readonly groups: 1 | 2
  /** The smallest input of which something is left for the head, pixels, and why. */
  readonly smallestInput: number
  readonly smallestInputReason: string
}

/** What batch normalization adds to a variance where nothing else is said, as in PyTorch. */
export const NORMALIZATION_EPSILON = 1e-5

const FAMILIES: Record<Family, FamilyDefaults> = {
  vgg: {
    ...{ inputSize: 224, channels: 3, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten', batchNormalization: false, groups: 1 },
    ...{ smallestInput: 32, smallestInputReason: 'the 5 poolings' },
  },
  // Krizhevsky 2012: "224" of the text is 227 by its arithmetic, 55 = (227 − 11) / 4 + 1.
  alexnet: {
    ...{ inputSize: 227, channels: 3, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten', batchNormalization: false, groups: 2 },
    ...{ smallestInput: 67, smallestInputReason: 'the first stride of 4 and the 3 poolings' },
  },
  // Krizhevsky 2014, as torchvision has it: 55 = floor((224 + 2 · 2 − 11) / 4) + 1.
  'alexnet-2014': {
    ...{ inputSize: 224, channels: 3, fullyConnected: [4096, 4096], dropout: 0.5, head: 'flatten', batchNormalization: false, groups: 1 },
    ...{ smallestInput: 63, smallestInputReason: 'the first stride of 4 and the 3 poolings' },
  },
  resnet: {
    ...{ inputSize: 224, channels: 3, fullyConnected: [], dropout: 0, head: 'globalAveragePooling', batchNormalization: true, groups: 1 },
    ...{ smallestInput: 32, smallestInputReason: 'the 5 halvings' },
  },
  'small-cnn': {
    ...{ inputSize: 28, channels: 1, fullyConnected: [64], dropout: 0.2, head: 'flatten', batchNormalization: false, groups: 1 },
    ...{ smallestInput: 18, smallestInputReason: 'the 3 convolutions and 2 poolings' },
  },
  // Its layers say what it is; of these only size and channels of the input count.
  own: {
    ...{ inputSize: 224, channels: 3, fullyConnected: [], dropout: 0, head: 'flatten', batchNormalization: false, groups: 1 },
    ...{ smallestInput: 1, smallestInputReason: 'it' },
  },
}

export function familyOf(name: ModelName): Family {
  if (name === 'alexnet' || name === 'alexnet-2014' || name === 'small-cnn' || name === OWN) return name
  return name.startsWith('resnet-') ? 'resnet' : 'vgg'
}

/** What the network of this name is where a recipe says nothing else. */
export function familyDefaults(name: ModelName): FamilyDefaults {
  return FAMILIES[familyOf(name)]
}

/** Channels of the input: 3, RGB, or 1, grey. */
export function channelsOf({ name, channels }: Pick<ModelOptions, 'name' | 'channels'>): 1 | 3 {
  return channels ?? familyDefaults(name).channels
}

/** Units of the last layer. */
export function outputUnits({ task }: Pick<ModelOptions, 'task'>, classes: number): number {
  return task === 'binary' || task === 'regression' ? 1 : classes
}

/** Whether the network normalizes over micro-batches when it is trained. */
export function normalizesBatches(model: Pick<ModelOptions, 'name' | 'batchNormalization' | 'trainable' | 'layers'>): boolean {
  const { layers } = model
  if (layers !== undefined) return layers.some(({ type }) => type === 'batchNormalization')
  return model.trainable !== false && hasNormalization(model)
}

/** Whether the network has batch normalization, trained or not. */
function hasNormalization({ name, batchNormalization }: Pick<ModelOptions, 'name' | 'batchNormalization'>): boolean {
  return batchNormalization ?? familyDefaults(name).batchNormalization
}

/** Whether a recipe lists the layers of the head. */
export function isListed(head: ModelOptions['head'] | undefined): head is readonly HeadLayer[] {
  return Array.isArray(head)
}

/** The same, as a recipe holds it. */
export type CompleteModel = Omit<ModelOptions, 'fullyConnected' | 'head'> & {
  readonly fullyConnected: number[]
  readonly head: 'flatten' | 'globalAveragePooling' | HeadLayer[]
}

type Given = Pick<ModelOptions, 'name' | 'width'> & { readonly [Key in keyof ModelOptions]?: ModelOptions[Key] | undefined }

/**
 * Fills in what the network of this name is where nothing else is said. Options that not all networks have stay away where they
 * say what is so anyway, so that a recipe has one form, and one digest.
 */
export function withModelDefaults(given: Given): CompleteModel {
  const family = familyDefaults(given.name)
  // A head that is listed needs neither.
  const defaults = Array.isArray(given.head) ? { ...family, fullyConnected: [], dropout: 0 } : family
  const { name, width, channels, batchNormalization, normalizationEpsilon, squeezeExcitation, groups } = given
  return {
    ...{ name, width, inputSize: given.inputSize ?? defaults.inputSize },
    ...{ fullyConnected: [...(given.fullyConnected ?? defaults.fullyConnected)], dropout: given.dropout ?? defaults.dropout },
    head: isListed(given.head) ? [...given.head] : (given.head ?? defaults.head),
    ...(channels === undefined || channels === defaults.channels ? {} : { channels }),
    ...(batchNormalization === undefined || batchNormalization === defaults.batchNormalization ? {} : { batchNormalization }),
    ...(normalizationEpsilon === undefined || normalizationEpsilon === NORMALIZATION_EPSILON ? {} : { normalizationEpsilon }),
    ...(squeezeExcitation === undefined ? {} : { squeezeExcitation }),
    ...(groups === undefined || groups === defaults.groups ? {} : { groups }),
    ...(given.task === undefined || given.task === 'classes' ? {} : { task: given.task }),
    ...(given.targets === undefined ? {} : { targets: given.targets }),
    ...(given.weights === undefined ? {} : { weights: given.weights }),
    ...(given.weightsDigest === undefined ? {} : { weightsDigest: given.weightsDigest }),
    ...(given.trainable === false ? { trainable: false } : {}),
    ...(given.from === undefined ? {} : { from: given.from }),
    ...(given.layers === undefined ? {} : { layers: given.layers }),
    ...(given.cacheFeatures === true ? { cacheFeatures: true } : {}),
  }
}

/** Something that a network cannot be, and the key that says it. */
export interface ModelProblem {
  readonly key: keyof ModelOptions
  readonly message: string
}

/** Options that do not fit the network. Each is named with what to do. */
export function modelProblems(model: ModelOptions): ModelProblem[] {
  return [...taskProblems(model), ...networkProblems(model)]
}

function taskProblems({ task, targets }: ModelOptions): ModelProblem[] {
  if (targets === undefined || task === 'regression') return []
  return [{ key: 'targets', message: 'model.targets: only a regression has them; leave them out, or set model.task: regression' }]
}

function networkProblems(model: ModelOptions): ModelProblem[] {
  const { name, inputSize, fullyConnected, dropout, head } = model
  const family = familyOf(name)
  if (family === OWN) return ownProblems(model)
  const { smallestInput, smallestInputReason } = FAMILIES[family]
  const problems: ModelProblem[] = []
  const refuse = (key: keyof ModelOptions, why: string): void => {
    problems.push({ key, message: `model.${key}: ${why}` })
  }
  if (inputSize < smallestInput)
    refuse(
      'inputSize',
      `${String(inputSize)} pixels are too few for ${smallestInputReason} of ${name}; use ${String(smallestInput)} or more`,
    )
  problems.push(...headProblems(model))
  if (family === 'resnet') {
    if (fullyConnected.length > 0) refuse('fullyConnected', `${name} has no hidden fully connected layers; leave it out`)
    if (dropout > 0) refuse('dropout', `${name} has no hidden fully connected layer to drop units after; leave it out`)
    if (head === 'flatten') refuse('head', `${name} ends in global average pooling; leave it out`)
    if (model.batchNormalization === false) refuse('batchNormalization', `${name} cannot do without; leave it out`)
  } else if (family !== 'vgg' && model.batchNormalization === true) {
    refuse('batchNormalization', `${name} has none; leave it out, or take a vgg or resnet`)
  }
  if (model.from !== undefined) refuse('from', `a network of your own has no other name; leave out model.from, or the name ${name}`)
  if (model.layers !== undefined) refuse('layers', `${name} has its own; leave them out, or the name`)
  if (model.normalizationEpsilon !== undefined && !hasNormalization(model))
    refuse('normalizationEpsilon', `${name} has no batch normalization here; leave it out`)
  if (family !== 'alexnet' && model.groups !== undefined) refuse('groups', `only alexnet has groups, not ${name}; leave it out`)
  return problems
}

/** Everything about a network of the user's own is in its layers. */
function ownProblems(model: ModelOptions): ModelProblem[] {
  const { width, fullyConnected, dropout, head, weights, from, layers } = model
  const problems: ModelProblem[] = []
  const refuse = (key: keyof ModelOptions, why: string): void => {
    problems.push({ key, message: `model.${key}: ${why}` })
  }
  if (from === undefined && layers === undefined)
    refuse('from', 'it is missing: a module (./my-model.mjs) that makes your own network, or a saved model.json')
  const elsewhere = 'a network of your own has it in its layers; leave it out'
  if (width !== 1) refuse('width', elsewhere)
  if (fullyConnected.length > 0) refuse('fullyConnected', elsewhere)
  if (dropout > 0) refuse('dropout', elsewhere)
  if (head !== 'flatten') refuse('head', elsewhere)
  for (const key of ['batchNormalization', 'squeezeExcitation', 'groups'] as const) if (model[key] !== undefined) refuse(key, elsewhere)
  if (weights !== undefined || model.trainable === false)
    refuse(
      weights === undefined ? 'trainable' : 'weights',
      'a network of your own has no base apart from its head; use initialization.from',
    )
  return problems
}

function headProblems({ head, fullyConnected, dropout, weights, trainable, cacheFeatures }: ModelOptions): ModelProblem[] {
  const problems: ModelProblem[] = []
  const refuse = (key: keyof ModelOptions, why: string): void => {
    problems.push({ key, message: `model.${key}: ${why}` })
  }
  if (isListed(head)) {
    const joints = head.filter(({ type }) => type === 'flatten' || type === 'globalAveragePooling')
    if (joints.length !== 1 || joints[0] !== head[0])
      refuse('head', 'it starts with {type: flatten} or {type: globalAveragePooling}, and has one of them; then dense and dropout')
    if (fullyConnected.length > 0) refuse('fullyConnected', 'model.head lists its layers; leave it out')
    if (dropout > 0) refuse('dropout', 'model.head lists its layers; leave it out, and put {type: dropout, rate: …} into model.head')
  }
  if (trainable === false && weights === undefined)
    refuse('trainable', 'random weights that are never trained are of no use; give model.weights, a checkpoint, or leave it out')
  if (cacheFeatures === true && trainable !== false)
    refuse(
      'cacheFeatures',
      'a base that is trained makes something else of a picture in every step; set model.trainable: false, or leave it out',
    )
  return problems
}
