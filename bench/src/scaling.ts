import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Window } from '@lockstep/cli/measurement/foreign-load.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawDataSet } from './method/drawn-data-set.js'
import { quietRounds, reportMedian, reportVerdict, type Entrant } from './method/quiet-rounds.js'
import { coresFor, timeTraining, type TimedSteps } from './method/timed-training.js'

/**
 * How much faster two workers are than one: VGG-A, 112 px, 32 images a worker, so that the global batch grows with them; coordinator,
 * averager, queue and workers all confined to as many cores as there are workers, in turn. With a global batch given, that many images are
 * shared by the workers instead. Beside them, two trainings of one worker that know nothing of each other, a core each, at the same time: what
 * this machine's cores leave each other of caches and memory, and so the most that two workers could reach. `npm run bench -- scaling [ROUNDS [GLOBAL_BATCH]]`.
 */

const [roundsText = '5', batchText] = process.argv.slice(2)
/** Images of a step, or undefined where they grow with the workers. */
const GLOBAL_BATCH = batchText === undefined ? undefined : Number(batchText)
const INPUT_SIZE = 112
const CLASSES = 1000
const IMAGES_A_WORKER = 32
const MICRO_BATCH = 16
const TIMED: TimedSteps = { warmUpSteps: 2, steps: 6 }
/** Images a second, of so many times one worker's: with a batch that grows, and with one that is shared. */
const SPEED_AT_LEAST = { growing: 0.97, shared: 0.9 }
/** Processor time of an image, beside one worker's. */
const CPU_AT_MOST = 1.03

if (GLOBAL_BATCH !== undefined && !(GLOBAL_BATCH > 0 && GLOBAL_BATCH % (2 * MICRO_BATCH) === 0))
  throw new Error(`GLOBAL_BATCH must be a multiple of ${String(2 * MICRO_BATCH)}, and not ${batchText ?? ''}`)

const imagesOf = (workers: number): number => GLOBAL_BATCH ?? IMAGES_A_WORKER * workers

function recipeOf(pictures: string, workers: number): Recipe {
  return recipeSchema.parse({
    name: `scaling-${String(workers)}`,
    model: { name: 'vgg-a', inputSize: INPUT_SIZE },
    data: {
      ...{ train: pictures, validation: pictures },
      augment: { shortSide: INPUT_SIZE + 16, crop: 'random', flip: true, colorShift: 0.1 },
    },
    batch: { global: imagesOf(workers), micro: MICRO_BATCH },
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

async function sampleOf(pictures: string, base: string, cores: readonly number[]): Promise<Sample> {
  const window = await timeTraining(recipeOf(pictures, cores.length), base, cores, TIMED)
  const images = TIMED.steps * imagesOf(cores.length)
  return { ...window, imagesPerSecond: images / window.seconds, cpuMsPerImage: (window.ownSeconds / images) * 1000 }
}

/** Two trainings at once. Each is measured over its own steps, in which the other one goes on. */
async function apartSampleOf(pictures: string, base: string, cores: readonly number[]): Promise<Sample> {
  const images = TIMED.steps * imagesOf(1)
  const windows = await Promise.all(
    cores.map(async (core, index) => await timeTraining(recipeOf(pictures, 1), join(base, String(index)), [core], TIMED)),
  )
  const [window] = windows
  if (window === undefined) throw new Error('there are no processors to train on')
  const imagesPerSecond = windows.reduce((sum, { seconds }) => sum + images / seconds, 0)
  const disturbed = windows.some((one) => one.disturbed)
  // a window holds the processor time of both
  return { ...window, disturbed, imagesPerSecond, cpuMsPerImage: (window.ownSeconds / (imagesPerSecond * window.seconds)) * 1000 }
}

const words = ({ imagesPerSecond, cpuMsPerImage }: Sample): string =>
  `${imagesPerSecond.toFixed(2)} images/s, ${cpuMsPerImage.toFixed(1)} CPU ms an image`

/** @returns whether two are fast enough and an image costs little more */
function conclude(kept: readonly (readonly Sample[])[]): boolean {
  const column = (index: number, key: 'imagesPerSecond' | 'cpuMsPerImage'): number[] => kept.flatMap((round) => round[index]?.[key] ?? [])
  const within = (key: 'imagesPerSecond' | 'cpuMsPerImage', workers: number): number[] =>
    kept.map(([one, two]) => (two?.[key] ?? Number.NaN) / ((one?.[key] ?? Number.NaN) * workers))
  const besideApart = kept.map(([, two, apart]) => (two?.imagesPerSecond ?? Number.NaN) / (apart?.imagesPerSecond ?? Number.NaN))
  const one = reportMedian('one worker', column(0, 'imagesPerSecond'), 'images/s', 2)
  const two = reportMedian('two workers', column(1, 'imagesPerSecond'), 'images/s', 2)
  const oneCpu = reportMedian('one worker, CPU', column(0, 'cpuMsPerImage'), 'ms an image', 1)
  const twoCpu = reportMedian('two workers, CPU', column(1, 'cpuMsPerImage'), 'ms an image', 1)
  const apart = reportMedian('two trainings, a core each', column(2, 'imagesPerSecond'), 'images/s', 2)
  reportMedian('two trainings, CPU', column(2, 'cpuMsPerImage'), 'ms an image', 1)
  console.log(`  two trainings beside twice one: ${(apart / (2 * one)).toFixed(3)} ×, the most that these cores allow`)
  reportMedian('two workers beside two trainings', besideApart, '×', 3)
  reportMedian('efficiency within rounds', within('imagesPerSecond', 2), '×', 3)
  reportMedian('CPU within rounds', within('cpuMsPerImage', 1), '×', 3)
  return [
    reportVerdict('images/s of two beside twice one', two / (2 * one), '×', 3, {
      atLeast: GLOBAL_BATCH === undefined ? SPEED_AT_LEAST.growing : SPEED_AT_LEAST.shared,
    }),
    reportVerdict('CPU of an image, two beside one', twoCpu / oneCpu, '×', 3, { atMost: CPU_AT_MOST }),
  ].every(Boolean)
}

const cores = await coresFor(2)
const base = await mkdtemp(join(tmpdir(), 'lockstep-scaling-'))
try {
  const pictures = join(base, 'pictures')
  await drawDataSet(pictures, { classes: CLASSES, perClass: 1, side: INPUT_SIZE + 16 })
  console.log(
    `vgg-a, ${String(INPUT_SIZE)} px, ${batchText === undefined ? `${String(IMAGES_A_WORKER)} images a worker` : `${batchText} images a step`}, ${String(TIMED.steps)} steps a sample;` +
      ` load ${(loadavg()[0] ?? 0).toFixed(1)}`,
  )
  const entrants: Entrant<Sample>[] = [
    // each core in turn is the one: they need not be alike
    {
      name: 'one worker',
      words,
      sample: async (round) => await sampleOf(pictures, join(base, 'one'), cores.slice(round % 2, (round % 2) + 1)),
    },
    { name: 'two workers', words, sample: async () => await sampleOf(pictures, join(base, 'two'), cores) },
    { name: 'two trainings, a core each', words, sample: async () => await apartSampleOf(pictures, join(base, 'apart'), cores) },
  ]
  const { kept } = await quietRounds(entrants, Number(roundsText))
  process.exitCode = conclude(kept) ? 0 : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
