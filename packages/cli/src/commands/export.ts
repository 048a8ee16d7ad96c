import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { exportModel } from '@lockstep/formats/export-model.js'
import { FORMATS, type FormatName } from '@lockstep/formats/foreign-model.js'
import { describeRule } from '@lockstep/formats/pictures.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { checkpointPathOf } from '../checkpoint-path.js'
import { addExample, addJsonOption } from '../options.js'
import { requireFreeFile } from '../output-path.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { count } from '../terminal/units.js'

interface ExportOptions {
  format: FormatName
  out: string
  channels?: 'rgb' | 'bgr'
  force: boolean
  json: boolean
}

export function configure(command: Command): void {
  command
    .description('Write the weights of a checkpoint for another tool: Keras, PyTorch, tfjs, or anything that reads safetensors.')
    .argument('<checkpoint>', 'a checkpoint, or a run, whose best one is taken')
    .addOption(new Option('--format <name>', 'what to write (docs/formats.md)').choices(FORMATS).makeOptionMandatory())
    .requiredOption('--out <path>', 'the file to write; for tfjs a folder')
    .addOption(
      new Option(
        '--channels <order>',
        'order of colours the exported network expects (default: rgb, but back to the tool it came from as it came)',
      ).choices(['rgb', 'bgr']),
    )
    .option('--force', 'overwrite what is there', false)
  addJsonOption(command)
  addExample(command, 'lockstep export runs/latest --format keras --out model.keras')
  command.action(write)
}

async function write(named: string, options: ExportOptions): Promise<void> {
  const out = resolve(options.out)
  await requireFree(out, options)
  const checkpoint = await checkpointPathOf(named)
  await mkdir(dirname(out), { recursive: true })
  const { format, channels } = options
  const report = await exportModel({ checkpoint, format, out, channels })
  if (options.json) {
    writeLine(JSON.stringify({ type: 'export', checkpoint, file: out, format, ...report }))
    return
  }
  writeLine(`${shownPath(out)}: ${format}, ${count(report.tensors)} tensors, ${count(report.parameters)} parameters`)
  writeLine(`pictures: ${describeRule(report.pictures)}`)
}

/** A model of tfjs is a folder, which --force replaces only when it is one of tfjs. */
async function requireFree(out: string, { format, force }: ExportOptions): Promise<void> {
  if (format !== 'tfjs') {
    await requireFreeFile(out, force)
    return
  }
  const found = await stat(out).catch(() => undefined)
  if (found === undefined) return
  if (!force) throw new TrainError('USAGE', `${shownPath(out)} exists already: say --force to overwrite it, or --out for another folder`)
  const model = await stat(`${out}/model.json`).catch(() => undefined)
  if (model === undefined)
    throw new TrainError(
      'USAGE',
      `${shownPath(out)} exists and is no model of tfjs, so it is not overwritten: say --out for another folder`,
    )
}
