import { join, resolve } from 'node:path'
import { makeDigits } from '../picture-sets/digits.js'
import { styled } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { duration, percent } from '../terminal/units.js'
import { pixelBaseline, trainDeep, trainShallow, type DepthOptions } from './depth-comparison.js'
import { remarks, type DepthResults } from './depth-story.js'
import { proveExactness, type Proof } from './exactness-proof.js'
import { Narrator } from '../terminal/narrator.js'
import { showPredictions } from './predictions.js'
import { DATASETS_FOLDER } from '../project-folders.js'
import { resultsTable } from './results-table.js'

export interface QuickstartOptions {
  /** Asks it to stop: the training that is going on writes a checkpoint and ends. */
  readonly signal?: AbortSignal | undefined
  /** Folder of runs; default: runs, where one stands. */
  readonly base?: string | undefined
  readonly seed?: number | undefined
  /** Says nothing; for callers that want the result alone. */
  readonly silent?: boolean | undefined
}

export interface QuickstartResult extends DepthResults {
  readonly proof: Proof
  readonly seconds: number
}

/**
 * The first five minutes: digits, VGG-A, VGG-D from three beginnings, predictions, and the proof that the result does not
 * depend on who computed it.
 * @returns everything it found; `proof.identical` says whether it succeeded
 * @throws TrainError as `train` does; INTERRUPTED when the signal came
 */
export async function quickstart({ signal, base = 'runs', seed = 1, silent = false }: QuickstartOptions = {}): Promise<QuickstartResult> {
  const started = performance.now()
  const narrator = new Narrator({ silent })
  const options: DepthOptions = { seed, base: resolve(base), signal }
  try {
    narrator.line(styled('bold', 'Lockstep: training on many machines with the answer of one, bit for bit'))
    const { pictures, baseline } = await preparePictures(narrator, signal)

    narrator.act('VGG-A at a quarter of its width, on two workers')
    const shallow = await trainShallow(options, narrator)

    narrator.act('The deeper VGG-D, from three beginnings')
    const deep = await trainDeep(shallow.checkpoint, options, narrator)
    const results: DepthResults = { trainings: [shallow.row, ...deep], baseline }

    narrator.act('What VGG-A sees in pictures it has not been trained on')
    const logFile = join(shallow.outcome.directory, 'logs', 'predict.log')
    await showPredictions({ checkpoint: shallow.checkpoint, folder: join(pictures, 'validation'), logFile, signal }, narrator)

    narrator.act('The same 30 steps twice: with one worker, and with three of which one is killed')
    const proof = await proveExactness({ ...options, checkpoint: shallow.checkpoint }, narrator)

    narrator.title('Results on the 1,000 digits held back')
    for (const line of [...resultsTable(results.trainings, baseline), ...remarks(results)]) narrator.line(`   ${line}`)
    const seconds = (performance.now() - started) / 1000
    sayWhatIsWhere(narrator, shallow.outcome.directory, shallow.checkpoint, options.base)
    narrator.line('')
    narrator.line(`   Done in ${duration(seconds)} minutes.`)
    return { ...results, proof, seconds }
  } finally {
    narrator.settle()
  }
}

async function preparePictures(
  narrator: Narrator,
  signal: AbortSignal | undefined,
): Promise<{ pictures: string; baseline: DepthResults['baseline'] }> {
  narrator.act('The pictures')
  const folder = join(DATASETS_FOLDER, 'digits')
  const made = await makeDigits(folder, { signal, onProgress: ({ what, done, total }) => narrator.progress(done, total, what) })
  narrator.settle()
  narrator.line(
    `   10,000 handwritten digits, 9,000 to train on and 1,000 to test: ${shownPath(folder)}${made.reused ? ' (there already)' : ''}`,
  )
  const baseline = await pixelBaseline(narrator, signal)
  narrator.line(`   the yardstick: taking the class of the nearest picture, pixel by pixel, gets ${percent(baseline.top1)} right`)
  return { pictures: made.pictures, baseline }
}

function sayWhatIsWhere(narrator: Narrator, run: string, checkpoint: string, base: string): void {
  narrator.title('Where everything is')
  narrator.line(`   ${shownPath(base)}/quickstart-*   recipe, checkpoints, metrics, TensorBoard events and logs of every training`)
  narrator.title('What to try next')
  const tries = [
    `inspect ${shownPath(run)}`,
    `predict ${shownPath(checkpoint)} PICTURE…`,
    'train recipes/digits-vgg-a.yaml --workers 4 --set model.name=vgg-b',
    'init FOLDER-OF-YOUR-OWN-PICTURES',
    'train recipes/imagenet-vgg.yaml --set model.name=vgg-d --dry-run',
  ]
  for (const words of tries) narrator.line(`   npx --no-install lockstep ${words}`)
}
