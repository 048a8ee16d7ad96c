import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { checkpointPathOf } from '../checkpoint-path.js'
import { evaluationLines } from '../evaluation-lines.js'
import { addExample, addJsonOption, wholeNumber } from '../options.js'
import { interruptibleWork, newLogFile } from '../standalone-work.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { writeLine } from '../terminal/output.js'
import { count } from '../terminal/units.js'
import { addViewOptions, viewsRequest, type ViewOptions } from '../view-options.js'

interface EvaluateOptions extends ViewOptions {
  data: string
  computeThreads: number
  json: boolean
}

export function configure(command: Command): void {
  command
    .argument('<checkpoint...>', 'a checkpoint, or a run, whose best one is taken; of several the soft-max outputs are averaged')
    .requiredOption('--data <dir>', 'the pictures: a packed folder, or one with a folder a class')
  addViewOptions(command)
  command.option('--compute-threads <count>', 'TensorFlow threads; 1 gives the bits of the run', wholeNumber(1), 1)
  addJsonOption(command)
  addExample(
    command,
    'lockstep evaluate runs/latest --data photos/validation',
    'lockstep evaluate runs/d runs/e --data photos/validation --protocol dense --scales 224,256,288 --flip',
  )
  command.action(evaluate)
}

async function evaluate(named: string[], options: EvaluateOptions): Promise<void> {
  const checkpoints: string[] = []
  for (const name of named) checkpoints.push(await checkpointPathOf(name))
  const logFile = newLogFile('evaluate')
  const display = new LiveDisplay()
  try {
    const report = await interruptibleWork((signal) =>
      evaluateCheckpoint({
        checkpoints,
        data: resolve(options.data),
        views: viewsRequest(options),
        computeThreads: Math.min(options.computeThreads, availableParallelism()),
        logFile,
        signal,
        onProgress: ({ done, total }) => {
          if (!options.json) display.progress(done, total, 'evaluating', `evaluated ${count(done)} of ${count(total)} pictures`)
        },
      }),
    )
    display.close()
    if (options.json) writeLine(JSON.stringify({ type: 'evaluation', checkpoint: checkpoints[0], checkpoints, ...report }))
    else for (const line of evaluationLines(checkpoints, report, display.columns)) writeLine(line)
  } finally {
    display.close()
  }
}
