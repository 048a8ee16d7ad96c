import { stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { describeNetwork } from '@lockstep/shared/models/description.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { nearest } from '@lockstep/shared/recipe/problems.js'
import { MODEL_NAMES, modelSchema } from '@lockstep/shared/recipe/schema.js'
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
  set: string[]
  json: boolean
}

export function configure(command: Command): void {
  command
    .argument('[what]', 'a model (vgg-a … vgg-e), a recipe, a checkpoint or the folder of a run (default: the newest run)')
    .option('--width <factor>', 'of a model: multiplier of its channels', numberAbove(0))
    .option('--input-size <pixels>', 'of a model: height and width of its input', wholeNumber(32))
    .option('--classes <count>', 'of a model: how many classes it tells apart (default: 1000)', wholeNumber(1))
    .option('--fully-connected <units>', 'of a model: units of its hidden fully connected layers, as in 4096,4096', unitList)
    .option('--head <kind>', 'of a model: flatten or globalAveragePooling')
  addSetOption(command, 'of a recipe: change a key (repeatable)')
  addJsonOption(command)
  addExample(command, 'lockstep inspect vgg-d', 'lockstep inspect runs/latest')
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
