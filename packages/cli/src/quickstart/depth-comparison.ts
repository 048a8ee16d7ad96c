import { percent } from '../terminal/units.js'
import { shownPath } from '../terminal/paths.js'
import { readDigits } from '../picture-sets/digits.js'
import { nearestNeighbourTop1 } from '../picture-sets/nearest-neighbour.js'
import { deepTrainings, shallowTraining, type DepthResults, type Training } from './depth-story.js'
import { bestCheckpoint, type TrainingOutcome } from '../training/narrated-training.js'
import { followTraining } from './followed-training.js'
import type { Narrator } from '../terminal/narrator.js'
import type { BaselineRow, TrainingRow } from './results-table.js'

/** Runs the trainings of the depth story; the quickstart does it once, the bench for several seeds. */

export interface DepthOptions {
  readonly seed: number
  /** Folder of runs. */
  readonly base: string
  /** Further `path=value` for every training. */
  readonly set?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

/** The yardstick: exact nearest neighbour on the digits' raw pixels. */
export async function pixelBaseline(narrator: Narrator, signal?: AbortSignal): Promise<BaselineRow> {
  const { train, validation } = readDigits()
  try {
    const onProgress = (done: number, total: number): void => narrator.progress(done, total, 'nearest neighbour on pixels')
    const { top1, seconds } = await nearestNeighbourTop1(train, validation, { onProgress, signal })
    return { name: 'nearest neighbour on pixels', top1, seconds }
  } finally {
    narrator.settle()
  }
}

/** One training and its row of the table. */
async function runTraining(
  training: Training,
  options: DepthOptions,
  narrator: Narrator,
): Promise<{ row: TrainingRow; outcome: TrainingOutcome }> {
  const { base, signal, set = [] } = options
  const outcome = await followTraining({ recipe: training.recipe, set: [...training.set, ...set], base, signal }, narrator)
  const { configuration, initialization } = training
  const { top1, wallSeconds, samplesPerSecond } = outcome.summary
  const row = {
    configuration,
    initialization,
    parameters: outcome.parameters,
    top1: top1 ?? Number.NaN,
    imagesPerSecond: samplesPerSecond,
    seconds: wallSeconds,
  }
  return { row, outcome }
}

/** VGG-A from random weights. @returns its row, and the checkpoint that the deeper ones may begin with */
export async function trainShallow(
  options: DepthOptions,
  narrator: Narrator,
): Promise<{ row: TrainingRow; outcome: TrainingOutcome; checkpoint: string }> {
  const done = await runTraining(shallowTraining(options.seed), options, narrator)
  narrator.line(`   ${courseOf(done.outcome)} in ${done.row.seconds.toFixed(0)} s · ${shownPath(done.outcome.directory)}`)
  return { ...done, checkpoint: bestCheckpoint(done.outcome.directory) }
}

/** VGG-D from its three beginnings. */
export async function trainDeep(checkpoint: string, options: DepthOptions, narrator: Narrator): Promise<TrainingRow[]> {
  const rows: TrainingRow[] = []
  for (const training of deepTrainings(options.seed, checkpoint)) {
    const { row, outcome } = await runTraining(training, options, narrator)
    narrator.line(`   ${training.initialization.padEnd(20)} ${courseOf(outcome)}`)
    const copied = outcome.initialized?.filter(({ source }) => source === 'checkpoint').map(({ layer }) => layer)
    if (copied !== undefined) narrator.line(`   ${''.padEnd(20)} copied from A: ${copied.join(', ')}`)
    rows.push(row)
  }
  return rows
}

/** `top-1 31.5 → 79.9 → 93.5 %`: the evaluations in order. */
function courseOf({ course }: TrainingOutcome): string {
  const all = course.map(([, top1]) => percent(top1).replace(' %', ''))
  return `top-1 ${all.join(' → ')} %`
}

/** The whole comparison for one seed. */
export async function compareDepths(baseline: BaselineRow, options: DepthOptions, narrator: Narrator): Promise<DepthResults> {
  const shallow = await trainShallow(options, narrator)
  const deep = await trainDeep(shallow.checkpoint, options, narrator)
  return { trainings: [shallow.row, ...deep], baseline }
}
