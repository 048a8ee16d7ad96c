import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { DepthReport } from '../experiment/depth-report.js'
import { ExperimentFolder } from '../experiment/experiment-folder.js'
import { completeSettings, PRESETS, requireFreeKeys, type ExperimentSettings } from '../experiment/experiment-settings.js'
import { BEGINNINGS, CONFIGURATIONS, type Beginning, type Configuration } from '../experiment/training-plan.js'
import { addExample, addJsonOption, addSetOption } from '../options.js'
import { interruptibleWork } from '../standalone-work.js'
import { Narrator } from '../terminal/narrator.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { configureScaling } from './experiment-scaling.js'

interface DepthOptions {
  data?: string
  preset?: ExperimentSettings['preset']
  seeds?: number[]
  configurations?: Configuration[]
  initializations?: Beginning[]
  out?: string
  resume: boolean
  set: string[]
  json: boolean
}

export function configure(command: Command): void {
  command.description('Experiments that take many trainings and end in a report.')
  addExample(command, 'lockstep experiment depth', 'lockstep experiment scaling --workers 1,2')
  const depth = command
    .command('depth')
    .description(
      'The shallow-to-deep experiment of the VGG paper: A to E, each from random weights of several kinds and from A, on several seeds; with a report.',
    )
    .option('--data <pictures>', 'digits, emoji, or a folder of pictures (default: digits)')
    .addOption(new Option('--preset <name>', 'fast: half an hour on two cores; full: for a GPU (default: fast)').choices([...PRESETS]))
    .option('--seeds <list>', 'as in 1,2,3 (default: fast 1,2; full 1,2,3)', seedList)
    .option('--configurations <list>', 'some of a, a-lrn, b, c, d, e; a is always among them (default: all)', configurationList)
    .option('--initializations <list>', `some of ${BEGINNINGS.join(', ')} (default: all)`, beginningList)
    .option('--out <dir>', 'folder of its trainings and its report (default: runs/depth-DATA-PRESET)')
    .option('--resume', 'go on with the experiment in that folder; options not said are those of before', false)
  addSetOption(depth, 'change a key of the recipe of all trainings, as in --set steps=200 (repeatable)')
  addJsonOption(depth, 'say nothing on the way, print the report as one JSON object')
  addExample(
    depth,
    'lockstep experiment depth --data digits --preset fast',
    'lockstep experiment depth --data photos/ --seeds 1,2,3 --out depth-photos',
  )
  depth.action(runDepth)
  configureScaling(command)
}

async function runDepth(options: DepthOptions): Promise<void> {
  requireFreeKeys(options.set)
  const said = await saidSettings(options)
  const { data, preset } = completeSettings(said)
  const out = resolve(options.out ?? join('runs', `depth-${basename(data)}-${preset}`))
  const before = options.resume ? await ExperimentFolder.settings(out) : undefined
  const settings = completeSettings({ ...before, ...said })
  const folder = await ExperimentFolder.open(out, settings, options)
  try {
    // loaded late, so that help and wrong options are quick
    const { runDepthExperiment } = await import('../experiment/depth-experiment.js')
    const { writeReport } = await import('../experiment/report-files.js')
    const narrator = new Narrator({ silent: options.json })
    const announcement = 'stopping after a checkpoint; go on later with --resume'
    const report = await interruptibleWork((signal) => runDepthExperiment(settings, folder, narrator, signal), announcement)
    const files = await writeReport(folder, report)
    if (options.json) writeLine(JSON.stringify(report))
    else for (const line of closingLines(report, files)) writeLine(line)
  } finally {
    await folder.close()
  }
}

/** What was said, and nothing else. @throws TrainError USAGE for a folder that is not there */
async function saidSettings({
  data,
  preset,
  seeds,
  configurations,
  initializations,
  set,
}: DepthOptions): Promise<Partial<ExperimentSettings>> {
  return {
    ...(data === undefined ? {} : { data: await pictures(data) }),
    ...(preset === undefined ? {} : { preset }),
    ...(seeds === undefined ? {} : { seeds }),
    ...(configurations === undefined ? {} : { configurations }),
    ...(initializations === undefined ? {} : { beginnings: initializations }),
    ...(set.length === 0 ? {} : { set }),
  }
}

async function pictures(data: string): Promise<string> {
  if (data === 'digits' || data === 'emoji') return data
  const found = await stat(data).catch(() => undefined)
  if (found?.isDirectory() !== true)
    throw new TrainError('USAGE', `--data ${data}: expected digits, emoji, or a folder of pictures that is there`)
  return resolve(data)
}

function closingLines({ findings }: DepthReport, files: readonly string[]): string[] {
  return [
    '',
    ...findings.map(({ claim, verdict }) => `   ${verdict.padEnd(15)}${claim}`),
    '',
    `   ${files.map((file) => shownPath(file)).join(', ')}`,
  ]
}

function seedList(text: string): number[] {
  const seeds = text.split(',').map(Number)
  if (!/^\d+(,\d+)*$/.test(text) || seeds.some((seed) => seed > 0xffff_ffff))
    throw new InvalidArgumentError('Expected whole numbers, as in 1,2,3.')
  return [...new Set(seeds)]
}

function configurationList(text: string): Configuration[] {
  return chosen(text, CONFIGURATIONS, (letter) => `vgg-${letter}`, 'a, a-lrn, b, c, d or e')
}

function beginningList(text: string): Beginning[] {
  return chosen(text, BEGINNINGS, (name) => name, BEGINNINGS.join(', '))
}

function chosen<Name extends string>(text: string, names: readonly Name[], nameOf: (part: string) => string, expected: string): Name[] {
  const parts = text.split(',').map((part) => nameOf(part.trim().toLowerCase()))
  const known = names.filter((name) => parts.includes(name))
  if (known.length !== new Set(parts).size) throw new InvalidArgumentError(`Expected some of ${expected}, with commas between.`)
  return known
}
