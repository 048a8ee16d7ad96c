import { randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import type { Preprocessing } from '@lockstep/data/preprocessing.js'
import { writeCheckpoint } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import { freshState } from '@lockstep/shared/checkpoint/fresh-state.js'
import type { UnsealedMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { isChain, type Network } from '@lockstep/shared/models/network.js'
import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { recipeDigest } from '@lockstep/shared/recipe/recipe-digest.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { reverseInputChannels } from './axes.js'
import { parseNote, type ExportNote } from './export-note.js'
import { openForeignModel } from './format-detection.js'
import type { FormatName, ForeignModel, ForeignTensor } from './foreign-model.js'
import { checkArchitecture } from './keras/architecture-check.js'
import { matchGraph } from './keras/graph-match.js'
import { findModel, type ModelHints } from './model-search.js'
import { defaultScale, pictureRule, type PictureRule, type PictureRuleName } from './pictures.js'
import { assignTensors, type Assignment } from './tensor-assignment.js'

export interface ImportRequest {
  readonly file: string
  /** The checkpoint to write; its folder exists. */
  readonly out: string
  readonly format?: FormatName | undefined
  readonly hints: ModelHints
  /** Names of the classes, in the order of the outputs; left out: their numbers. */
  readonly classes?: readonly string[] | undefined
  /** How pictures were fed to it; left out: as the file's framework feeds its VGG networks. */
  readonly pictures?: PictureRuleName | undefined
  /** Test scale, pixels of the shorter side. */
  readonly scale?: number | undefined
}

export interface ImportReport {
  readonly format: FormatName
  readonly model: Recipe['model']
  readonly classes: readonly string[]
  readonly pictures: PictureRule & { readonly scale: number; readonly inputSize: number }
  /** Whether the file stated its architecture, and it was compared layer by layer. */
  readonly architectureCompared: boolean
  /** Name in the file and name here, in network order. */
  readonly tensors: readonly { readonly from: string; readonly to: string; readonly shape: readonly number[] }[]
  readonly parameters: number
  readonly bytes: number
  readonly weightsDigest: string
}

/**
 * Makes a checkpoint of weights that another tool wrote: step 0 of nothing, with all that predicting, evaluating and starting
 * from it need. The checkpoint is written aside and renamed.
 * @throws TrainError DATA_MISSING, CHECKPOINT_INVALID, CHECKPOINT_MISMATCH naming the tensor and both shapes, USAGE, DISK
 */
export async function importModel(request: ImportRequest): Promise<ImportReport> {
  const foreign = await openForeignModel(request.file, request.format)
  try {
    const note = parseNote(foreign.note)
    const { model, network } = findModel(foreign, request.file, { ...note?.model, ...statedHints(request.hints) })
    const { tensors, compared: architectureCompared } = compareArchitecture(foreign, network, request.file)
    const isEpsilonKnown = architectureCompared || request.hints.normalizationEpsilon !== undefined || note !== undefined
    if (!isEpsilonKnown) requireKnownEpsilon(foreign.format, network, request.file)
    const layout = layoutOf(network)
    const assignments = assignTensors(tensors, layout, { file: request.file, network: calledNetwork(model), chain: isChain(network) })
    const feeding = feedingOf(request, foreign, note)
    const { rule } = feeding
    const preprocessing = preprocessingOf(request, network, note, feeding)
    const recipe = recipeOf(request, model, preprocessing)
    const weights = await readWeights(assignments, layout, rule.channels === 'bgr')
    const metadata = metadataOf(request, foreign.format, { recipe, network, preprocessing, channels: rule.channels })
    const written = writeCheckpoint(request.out, layout, metadata, freshState(layout, weights, recipe.learningRate))
    return {
      format: foreign.format,
      model,
      classes: preprocessing.classes,
      pictures: { ...rule, scale: preprocessing.scale, inputSize: preprocessing.inputSize },
      architectureCompared,
      tensors: assignments.map(({ entry, tensor }) => ({ from: tensor.name, to: entry.name, shape: entry.shape })),
      parameters: layout.size,
      bytes: written.bytes,
      weightsDigest: written.weightsDigest,
    }
  } finally {
    await foreign.close()
  }
}

/** Compares what the file states of its layers, and calls them as ours are called where the graph tells which they are. */
function compareArchitecture(
  { layers, tensors }: ForeignModel,
  network: Network,
  file: string,
): { readonly tensors: readonly ForeignTensor[]; readonly compared: boolean } {
  if (layers === undefined) return { tensors, compared: false }
  if (isChain(network)) return { tensors, compared: checkArchitecture(layers, network, file) }
  const names = matchGraph(layers, network, file)
  return { tensors: tensors.map((tensor) => ({ ...tensor, layer: names.get(tensor.layer) ?? tensor.layer })), compared: true }
}

/**
 * What batch normalization adds to a variance is no tensor. PyTorch adds what we do; Keras adds what each layer was told, a hundred
 * times as much by default, and its files of weights alone do not say.
 * @throws TrainError CHECKPOINT_MISMATCH
 */
function requireKnownEpsilon(format: FormatName, network: Network, file: string): void {
  const normalization = network.layers.find(({ type }) => type === 'batchNormalization')
  if (normalization === undefined || !format.startsWith('keras')) return
  throw new TrainError(
    'CHECKPOINT_MISMATCH',
    `${file} does not say the epsilon of its batch normalization (${normalization.name}); save the whole model instead, model.save('x.keras'), or say --epsilon (Keras adds 0.001 where nothing is said)`,
  )
}

function statedHints(hints: ModelHints): ModelHints {
  return Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined))
}

function calledNetwork({ name, width, inputSize }: Recipe['model']): string {
  return `${name} (width ${String(Number(width.toFixed(4)))}, ${String(inputSize)} pixels)`
}

/** How pictures are fed, and where that is known from. */
interface Feeding {
  readonly rule: PictureRule
  /** Test scale that goes with it. */
  readonly scale: (inputSize: number) => number
}

/** What is said, else what an export of ours wrote down, else the custom of the file's framework. */
function feedingOf({ pictures, file }: ImportRequest, { format }: ForeignModel, note: ExportNote | undefined): Feeding {
  if (pictures === undefined && note !== undefined) return { rule: note, scale: () => note.scale }
  const name = pictures ?? customOf(format)
  if (name !== undefined) return { rule: pictureRule(name), scale: (inputSize) => defaultScale(name, inputSize) }
  throw new TrainError(
    'USAGE',
    `${file} does not say how pictures were fed to its network: say --preprocessing caffe, torch, tf, unit or raw (\`lockstep import --help\`)`,
  )
}

/** How networks of a format are fed, if nobody says otherwise. Safetensors with our names can come from anywhere. */
function customOf(format: FormatName): PictureRuleName | undefined {
  if (format === 'safetensors') return undefined
  return format === 'torchvision' ? 'torch' : 'caffe'
}

function preprocessingOf(request: ImportRequest, network: Network, note: ExportNote | undefined, feeding: Feeding): Preprocessing {
  const [inputSize] = network.inputShape
  const scale = request.scale ?? feeding.scale(inputSize)
  if (scale < inputSize)
    throw new TrainError(
      'USAGE',
      `a test scale of ${String(scale)} is smaller than the network's input of ${String(inputSize)} pixels: say --scale`,
    )
  const classes = request.classes ?? note?.classes ?? Array.from({ length: network.classes }, (_, index) => String(index))
  if (classes.length !== network.classes) {
    throw new TrainError(
      'CHECKPOINT_MISMATCH',
      `${request.file} tells ${String(network.classes)} classes apart, ${String(classes.length)} names are given: give one for each output, in their order`,
    )
  }
  const { normalize, mean, std } = feeding.rule
  return { inputSize, scale, normalize, mean, std, classes: [...classes] }
}

/** A recipe that describes the network. Nothing was trained here, so its data is a word that no folder answers to. */
function recipeOf({ file }: ImportRequest, model: Recipe['model'], { normalize, scale }: Preprocessing): Recipe {
  const name = basename(file).replaceAll(/[^A-Za-z0-9._-]+/g, '-')
  return recipeSchema.parse({
    name: /^[A-Za-z0-9]/.test(name) ? name : 'imported',
    model,
    data: { train: `imported from ${basename(file)}`, normalize },
    evaluation: { scales: [scale] },
  })
}

/** The flat vector. @param exchange turn the first kernel from blue, green, red: exact, since it only moves values */
async function readWeights(assignments: readonly Assignment[], { size }: ParameterLayout, exchange: boolean): Promise<Float32Array> {
  const weights = new Float32Array(size)
  const first = assignments.find(({ entry }) => entry.kind === 'kernel')
  for (const assignment of assignments) {
    const { entry, tensor } = assignment
    const values = await tensor.read()
    weights.set(exchange && assignment === first ? reverseInputChannels(values, entry.shape) : values, entry.offset)
  }
  return weights
}

interface Described {
  readonly recipe: Recipe
  readonly network: Network
  readonly preprocessing: Preprocessing
  readonly channels: 'rgb' | 'bgr'
}

function metadataOf(
  { file }: ImportRequest,
  format: FormatName,
  { recipe, network, preprocessing, channels }: Described,
): UnsealedMetadata {
  return {
    ...{ format: 1, step: 0, run: randomBytes(16).toString('hex'), seed: recipe.seed, recipe, network },
    preprocessing: { ...preprocessing },
    schedule: initialSchedule(recipe.learningRate),
    // no engine and no data of ours have had a part in it
    fingerprint: '',
    dataDigest: '',
    recipeDigest: recipeDigest(recipe),
    origin: { file: basename(file), format, channels },
  }
}
