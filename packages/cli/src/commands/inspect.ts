import { stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { MODEL_NAMES } from '@lockstep/shared/models/families.js'
import { describeNetwork } from '@lockstep/shared/models/description.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { nearest } from '@lockstep/shared/recipe/problems.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { inspectCheckpoint } from '../inspection/checkpoint-inspection.js'
import { networkLines } from '../inspection/network-table.js'
import { inspectRun } from '../inspection/run-inspection.js'
import { addExample, addJsonOption, addSetOption, numberAbove, unitList, wholeNumber } from '../options.js'
import { writeLine } from '../terminal/output.js'
import { showDryRun } from '../training/dry-run.js'

interface InspectOptions {
  width?: number
  inputSize?: number
  classes?: number
  fullyConnected?: number[]
  head?: string
  channels?: number
  batchNormalization?: boolean
  squeezeExcitation?: number
  groups?: number
  set: string[]
  json: boolean
}

export function configure(command: Command): void {
  command
    .argument('[what]', 'a model (vgg-d, resnet-50, …), a recipe, a checkpoint or the folder of a run (default: the newest run)')
    .option('--width <factor>', 'of a model: multiplier of its channels', numberAbove(0))
    .option('--input-size <pixels>', 'of a model: height and width of its input', wholeNumber(1))
    .option('--classes <count>', 'of a model: how many classes it tells apart (default: 1000)', wholeNumber(1))
    .option('--fully-connected <units>', 'of a model: units of its hidden fully connected layers, as in 4096,4096', unitList)
    .option('--head <kind>', 'of a model: flatten or globalAveragePooling')
    .option('--channels <count>', 'of a model: 3, or 1 for grey pictures', wholeNumber(1))
    .option('--batch-normalization', 'of a model: with batch normalization')
    .option('--squeeze-excitation <ratio>', 'of a model: with squeeze-and-excitation blocks', wholeNumber(1))
    .option('--groups <count>', 'of alexnet: 2, as published, or 1', wholeNumber(1))
  addSetOption(command, 'of a recipe: change a key (repeatable)')
  addJsonOption(command)
  addExample(command, 'lockstep inspect resnet-50', 'lockstep inspect runs/latest')
  command.action(inspect)
}

async function inspect(what: string | undefined, options: InspectOptions): Promise<void> {
  if (what !== undefined && (MODEL_NAMES as readonly string[]).includes(what)) {
    inspectModel(what, options)
    return
  }
  const found = what === undefined ? null : await stat(what).catch(() => undefined)
  if (what === undefined || found?.isDirectory() === true) await inspectRun(what, options)
  else if (found === undefined) throw new TrainError('USAGE', neither(what))
  else if (/\.ya?ml$/i.test(what)) await showDryRun((await loadRecipe(what, { set: options.set })).recipe, options)
  else await inspectCheckpoint(what, options)
}

function inspectModel(name: string, options: InspectOptions): void {
  const model = modelSchema.safeParse({
    name,
    width: options.width,
    inputSize: options.inputSize,
    fullyConnected: options.fullyConnected,
    head: options.head,
    channels: options.channels,
    batchNormalization: options.batchNormalization,
    squeezeExcitation: options.squeezeExcitation,
    groups: options.groups,
  })
  if (!model.success) {
    const issue = model.error.issues[0]
    throw new TrainError('USAGE', `${issue?.path.join('.') ?? 'model'}: ${issue?.message ?? 'wrong'}; see \`lockstep inspect --help\``)
  }
  const network = networkOf(model.data, options.classes ?? 1000)
  if (options.json) writeLine(JSON.stringify({ type: 'model', model: model.data, classes: network.classes, ...describeNetwork(network) }))
  else for (const line of networkLines(network)) writeLine(line)
}

function neither(what: string): string {
  const near = nearest(what, MODEL_NAMES)
  return `${what} is neither a model nor a file or folder; ${near === undefined ? `models: ${MODEL_NAMES.join(', ')}` : `did you mean "${near}"?`}`
}
