import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { checkpointPathOf } from '../checkpoint-path.js'
import { addExample, addJsonOption, wholeNumber } from '../options.js'
import { interruptibleWork, newLogFile } from '../standalone-work.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { fields, table } from '../terminal/table.js'
import { count, percent, significant } from '../terminal/units.js'

interface EvaluateOptions {
  data: string
  protocol: 'center'
  scales?: number[]
  computeThreads: number
  json: boolean
}

export function configure(command: Command): void {
  command
    .argument('<checkpoint>', 'a checkpoint, or a run, whose best one is taken')
    .requiredOption('--data <dir>', 'the pictures: a packed folder, or one with a folder a class')
    .addOption(new Option('--protocol <name>', 'how a picture is looked at').choices(['center']).default('center'))
    .option('--scales <pixels>', 'test scale: the smaller side of the picture before the crop (default: that of the checkpoint)', scaleList)
    .option('--compute-threads <count>', 'TensorFlow threads; 1 gives the bits of the run', wholeNumber(1), 1)
  addJsonOption(command)
  addExample(command, 'lockstep evaluate runs/latest --data photos/validation')
  command.action(evaluate)
}

async function evaluate(named: string, options: EvaluateOptions): Promise<void> {
  const checkpoint = await checkpointPathOf(named)
  const logFile = newLogFile('evaluate')
  const display = new LiveDisplay()
  try {
    const result = await interruptibleWork((signal) =>
      evaluateCheckpoint({
        checkpoint,
        data: resolve(options.data),
        protocol: options.protocol,
        ...(options.scales?.[0] === undefined ? {} : { scale: options.scales[0] }),
        computeThreads: Math.min(options.computeThreads, availableParallelism()),
        logFile,
        signal,
        onProgress: ({ done, total }) => {
          if (!options.json) display.progress(done, total, 'evaluating', `evaluated ${count(done)} of ${count(total)} pictures`)
        },
      }),
    )
    display.close()
    if (options.json) writeLine(JSON.stringify({ type: 'evaluation', checkpoint, ...result }))
    else for (const line of resultLines(checkpoint, result)) writeLine(line)
  } finally {
    display.close()
  }
}

type Evaluation = Awaited<ReturnType<typeof evaluateCheckpoint>>

function resultLines(checkpoint: string, { loss, top1, top5, samples, perClass }: Evaluation): string[] {
  const totals = fields([
    ['checkpoint', shownPath(checkpoint)],
    ['pictures', count(samples)],
    ['loss', significant(loss)],
    ['top-1', percent(top1)],
    ['top-5', percent(top5)],
  ])
  const columns = [
    { title: 'class', align: 'left' },
    { title: 'pictures', align: 'right' },
    { title: 'top-1', align: 'right' },
    { title: 'top-5', align: 'right' },
  ] as const
  const share = (pictures: number, value: number): string => (pictures === 0 ? '–' : percent(value))
  const rows = perClass.map((row) => [row.name, count(row.samples), share(row.samples, row.top1), share(row.samples, row.top5)])
  return [...totals, '', ...table(columns, rows)]
}

function scaleList(text: string): number[] {
  const scales = text.split(',').map(Number)
  if (scales.length !== 1 || scales.some((scale) => !Number.isSafeInteger(scale) || scale < 32)) {
    throw new InvalidArgumentError('Expected one scale in pixels, as in 256.')
  }
  return scales
}
