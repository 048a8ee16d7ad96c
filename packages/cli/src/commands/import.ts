import { mkdir, readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { parseClassNames } from '@lockstep/formats/class-names.js'
import { FORMATS, type FormatName } from '@lockstep/formats/foreign-model.js'
import { importModel, type ImportReport } from '@lockstep/formats/import-model.js'
import { describeRule, PICTURE_RULES, type PictureRuleName } from '@lockstep/formats/pictures.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { MODEL_NAMES } from '@lockstep/shared/models/families.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { addExample, addJsonOption, numberAbove, unitList, wholeNumber } from '../options.js'
import { requireFreeFile } from '../output-path.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { fields } from '../terminal/table.js'
import { bytes, count } from '../terminal/units.js'

interface ImportOptions {
  out: string
  format?: FormatName
  model?: Recipe['model']['name']
  width?: number
  inputSize?: number
  fullyConnected?: number[]
  head?: Recipe['model']['head']
  epsilon?: number
  classes?: string
  preprocessing?: PictureRuleName
  scale?: number
  force: boolean
  json: boolean
}

export function configure(command: Command): void {
  command
    .description('Make a checkpoint of weights that another tool trained. What the file does not say of its network can be said here.')
    .argument('<file>', 'safetensors, .h5, .weights.h5 or .keras of Keras, model.json of tfjs (docs/formats.md)')
    .requiredOption('--out <file>', 'the checkpoint to write, *.safetensors')
    .addOption(new Option('--format <name>', 'what the file is (default: found from its content)').choices(FORMATS))
    .addOption(new Option('--model <name>', 'the network (default: found from the shapes)').choices(MODEL_NAMES))
    .option('--width <factor>', 'multiplier of its channels', numberAbove(0))
    .option('--input-size <pixels>', 'height and width of its input', wholeNumber(32))
    .option('--fully-connected <units>', 'units of its hidden fully connected layers, as in 4096,4096', unitList)
    .addOption(new Option('--head <kind>', 'what stands before them').choices(['flatten', 'globalAveragePooling']))
    .option('--epsilon <value>', 'what its batch normalization adds to a variance, where the file does not say it', numberAbove(0))
    .option('--classes <file>', 'names of the classes: a line each, a JSON list, or imagenet_class_index.json of Keras')
    .addOption(
      new Option(
        '--preprocessing <rule>',
        'how pictures were fed to it (default: caffe for Keras and tfjs, torch for torchvision)',
      ).choices(PICTURE_RULES),
    )
    .option('--scale <pixels>', 'smaller side of a picture before the crop', wholeNumber(32))
    .option('--force', 'overwrite the checkpoint', false)
  addJsonOption(command)
  addExample(command, 'lockstep import vgg16_weights_tf_dim_ordering_tf_kernels.h5 --out vgg16.safetensors')
  command.action(read)
}

async function read(named: string, options: ImportOptions): Promise<void> {
  const [file, out] = [resolve(named), resolve(options.out)]
  if (file === out) throw new TrainError('USAGE', `--out ${options.out} is the file to import: name another`)
  await requireFreeFile(out, options.force)
  const classes = options.classes === undefined ? undefined : await classNames(options.classes)
  await mkdir(dirname(out), { recursive: true })
  const { format, model: name, width, inputSize, fullyConnected, head, preprocessing: pictures, scale } = options
  const hints = { name, width, inputSize, fullyConnected, head, normalizationEpsilon: options.epsilon }
  const report = await importModel({ file, out, format, hints, classes, pictures, scale })
  if (options.json) writeLine(JSON.stringify({ type: 'import', file, checkpoint: out, ...report }))
  else for (const line of reportLines(named, out, report)) writeLine(line)
}

async function classNames(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException
    throw new TrainError('DATA_MISSING', `--classes ${path}: it cannot be read (${String(code)}); check the path`)
  })
  return parseClassNames(text, path)
}

function reportLines(file: string, out: string, report: ImportReport): string[] {
  const { model, pictures, format, architectureCompared } = report
  const { name, width, inputSize, fullyConnected, head } = model
  const parts = [
    `${name} at width ${String(Number(width.toFixed(4)))}`,
    `${String(inputSize)} pixels`,
    typeof head === 'string' ? head : 'a head of its own',
    `dense ${fullyConnected.join(', ')}`,
  ]
  const entries: [string, string][] = [
    ['file', `${shownPath(file)} (${format})`],
    ['network', `${parts.join(', ')}, ${count(report.classes.length)} classes`],
    ['found from', architectureCompared ? 'its architecture, compared layer by layer' : 'names and shapes of its tensors'],
    ['pictures', `${describeRule(pictures)}; shorter side ${String(pictures.scale)}`],
    ...(pictures.channels === 'bgr' ? [['colours', 'the first kernel was turned to red, green, blue'] as [string, string]] : []),
  ]
  const written = `${count(report.parameters)} parameters, ${bytes(report.bytes)}, weights digest ${report.weightsDigest}`
  return [...fields(entries), `${shownPath(out)}: ${written}`]
}
