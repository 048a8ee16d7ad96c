import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { predictImages } from '@lockstep/worker/standalone/predict-images.js'
import { checkpointPathOf } from '../checkpoint-path.js'
import { addExample, addJsonOption, wholeNumber } from '../options.js'
import { interruptibleWork, newLogFile } from '../standalone-work.js'
import { styled, writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { fields } from '../terminal/table.js'
import { percent, significant } from '../terminal/units.js'
import { addViewOptions, viewsRequest, type ViewOptions } from '../view-options.js'

interface PredictOptions extends ViewOptions {
  top: number
  computeThreads: number
  json: boolean
}

export function configure(command: Command): void {
  command
    .argument('<checkpoint>', 'a checkpoint, or a run, whose best one is taken')
    .argument('<image...>', 'pictures: JPEG, PNG, WebP, …')
    .option('--top <count>', 'how many classes to name', wholeNumber(1), 5)
  addViewOptions(command)
  command.option('--compute-threads <count>', 'TensorFlow threads', wholeNumber(1), 1)
  addJsonOption(command)
  addExample(command, 'lockstep predict runs/latest photo.jpg --top 3')
  command.action(predict)
}

async function predict(named: string, pictures: string[], options: PredictOptions): Promise<void> {
  const checkpoint = await checkpointPathOf(named)
  const images = pictures.map((picture) => resolve(picture))
  for (const image of images) await requireFile(image)
  const logFile = newLogFile('predict')
  const computeThreads = Math.min(options.computeThreads, availableParallelism())
  const predictions = await interruptibleWork((signal) =>
    predictImages({ checkpoints: [checkpoint], images, top: options.top, views: viewsRequest(options), computeThreads, logFile, signal }),
  )
  if (options.json) {
    writeLine(JSON.stringify({ type: 'predictions', checkpoint, predictions }))
    return
  }
  for (const { image, classes, value } of predictions) {
    writeLine(styled('bold', shownPath(image)))
    if (value !== undefined) writeLine(`  ${significant(value)}`)
    for (const line of fields(classes.map(({ name, probability }) => [name, percent(probability)] as const))) writeLine(`  ${line}`)
  }
}

async function requireFile(image: string): Promise<void> {
  const found = await stat(image).catch(() => undefined)
  if (found === undefined) throw new TrainError('DATA_MISSING', `${shownPath(image)}: there is no such picture; check the path`)
  if (found.isDirectory())
    throw new TrainError('USAGE', `${shownPath(image)} is a folder: name pictures, or use \`lockstep evaluate\` for a folder`)
}
