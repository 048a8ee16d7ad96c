import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readInstant, windowBetween, type Instant, type Window } from '@lockstep/cli/measurement/foreign-load.js'
import { summaryOf } from '@lockstep/cli/measurement/statistics.js'
import { TrainingProcess } from '@lockstep/cli/measurement/training-process.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawDataSet } from './method/drawn-data-set.js'

/**
 * How much faster two processors are than one: VGG-A at full width, 112 px, global batch 128; coordinator, averager, queue and workers
 * all confined to one core with one worker, then to two with two, in turn. `npm run bench -- scaling [ROUNDS [WIDTH]]`.
 */

const [roundsText = '4', widthText = '1'] = process.argv.slice(2)
const ROUNDS = Number(roundsText)
const WIDTH = Number(widthText)
/** Rounds in all, at most, for those that are set aside. */
const MOST_ROUNDS_FACTOR = 2
const INPUT_SIZE = 112
const CLASSES = 1000
const [GLOBAL_BATCH, MICRO_BATCH] = [128, 16]
/** The first ones meet fresh memory and unknown speeds. */
const WARM_UP_STEPS = 2
const STEPS = 3
const AT_LEAST = 1.8

function recipeOf(pictures: string, workers: number): Recipe {
  return recipeSchema.parse({
    name: `scaling-${String(workers)}`,
    model: { name: 'vgg-a', width: WIDTH, inputSize: INPUT_SIZE },
    data: {
      ...{ train: pictures, validation: pictures },
      augment: { shortSide: INPUT_SIZE + 16, crop: 'random', flip: true, colorShift: 0.1 },
    },
    batch: { global: GLOBAL_BATCH, micro: MICRO_BATCH },
    // It is stopped before: an evaluation at the end would only take time.
    steps: 1000,
    evaluation: { everySteps: 1000 },
    run: { workers: { count: workers, minimum: workers }, checkpoint: { everySteps: 1000 } },
  })
}

interface Sample extends Window {
  readonly imagesPerSecond: number
  /** Processor time of the whole process tree. */
  readonly cpuMsPerImage: number
}

/** One training, from its start; measured between the ends of two of its steps. */
async function sampleOf(pictures: string, base: string, cores: readonly number[]): Promise<Sample> {
  const training = await TrainingProcess.start(recipeOf(pictures, cores.length), base, cores)
  const instants: Instant[] = []
  try {
    for await (const event of training.events()) {
      if (event.type !== 'step') continue
      if (event.step === WARM_UP_STEPS || event.step === WARM_UP_STEPS + STEPS) instants.push(await readInstant())
      if (event.step === WARM_UP_STEPS + STEPS) void training.stop()
    }
  } finally {
    await training.stop()
    await rm(base, { recursive: true, force: true })
  }
  const [first, last] = instants
  if (first === undefined || last === undefined) throw new Error('the training ended before it could be measured')
  const window = windowBetween(first, last)
  const images = STEPS * GLOBAL_BATCH
  return { ...window, imagesPerSecond: images / window.seconds, cpuMsPerImage: (window.ownSeconds / images) * 1000 }
}

const shown = ({ imagesPerSecond, cpuMsPerImage, steal, foreign, disturbed }: Sample): string =>
  `${imagesPerSecond.toFixed(2)} images/s, ${cpuMsPerImage.toFixed(1)} CPU ms an image` +
  ` (stolen ${(steal * 100).toFixed(1)} %, others ${(foreign * 100).toFixed(1)} %${disturbed ? ', disturbed' : ''})`

function report(name: string, values: readonly number[], unit: string, digits: number): number {
  const { median, spread } = summaryOf(values)
  const [lower, upper] = spread.map((value) => value.toFixed(digits))
  console.log(`  ${name.padEnd(20)} median ${median.toFixed(digits)} ${unit}, quartiles ${lower ?? '–'} … ${upper ?? '–'}`)
  return median
}

/** @returns whether the ratio is large enough */
function conclude(kept: readonly (readonly [Sample, Sample])[], run: number): boolean {
  console.log(`  ${String(kept.length)} of ${String(run)} rounds kept; a round in which either sample was disturbed is set aside`)
  const column = (index: 0 | 1, key: 'imagesPerSecond' | 'cpuMsPerImage'): number[] => kept.map((round) => round[index][key])
  const one = report('one core', column(0, 'imagesPerSecond'), 'images/s', 2)
  const two = report('two cores', column(1, 'imagesPerSecond'), 'images/s', 2)
  report('one core, CPU', column(0, 'cpuMsPerImage'), 'ms an image', 1)
  report('two cores, CPU', column(1, 'cpuMsPerImage'), 'ms an image', 1)
  report(
    'ratio within rounds',
    kept.map(([alone, both]) => both.imagesPerSecond / alone.imagesPerSecond),
    '×',
    3,
  )
  const ratio = two / one
  const verdict = Number.isNaN(ratio) ? 'cannot be told: every round was disturbed; stop what else runs here' : `${ratio.toFixed(3)} ×`
  console.log(`  two cores beside one: ${verdict} (at least ${String(AT_LEAST)} wanted)`)
  return ratio >= AT_LEAST
}

if (cpus().length < 2) throw new Error('this measurement needs two processors')
const base = await mkdtemp(join(tmpdir(), 'lockstep-scaling-'))
try {
  const pictures = join(base, 'pictures')
  await drawDataSet(pictures, { classes: CLASSES, perClass: 1, side: INPUT_SIZE + 16 })
  console.log(
    `vgg-a, width ${String(WIDTH)}, ${String(INPUT_SIZE)} px, global batch ${String(GLOBAL_BATCH)}; load ${(loadavg()[0] ?? 0).toFixed(1)}`,
  )
  const kept: (readonly [Sample, Sample])[] = []
  let run = 0
  while (kept.length < ROUNDS && run < ROUNDS * MOST_ROUNDS_FACTOR) {
    run += 1
    // Each core in turn is the one: they need not be alike.
    const alone = await sampleOf(pictures, join(base, 'one'), [run % 2])
    console.log(`  round ${String(run)}, one core:  ${shown(alone)}`)
    const both = await sampleOf(pictures, join(base, 'two'), [0, 1])
    console.log(`  round ${String(run)}, two cores: ${shown(both)}; ratio ${(both.imagesPerSecond / alone.imagesPerSecond).toFixed(3)}`)
    if (!alone.disturbed && !both.disturbed) kept.push([alone, both])
  }
  process.exitCode = conclude(kept, run) ? 0 : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
