import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TrainingProcess } from '@lockstep/cli/measurement/training-process.js'
import { EvaluationLoader } from '@lockstep/data/evaluation-loader.js'
import { openFolder } from '@lockstep/data/open-folder.js'
import { decodePicture } from '@lockstep/data/picture.js'
import { openCheckpoint } from '@lockstep/shared/checkpoint/checkpoint.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { viewsInWords, type EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { addAverage, averageOf } from '@lockstep/worker/evaluation/batch-evaluation.js'
import { SoftMaxAverage } from '@lockstep/worker/evaluation/soft-max-average.js'
import { openCheckpointEngine } from '@lockstep/worker/standalone/checkpoint-engine.js'
import { describeCheckpoints } from '@lockstep/worker/standalone/described-checkpoint.js'
import { evaluateCheckpoint } from '@lockstep/worker/standalone/evaluate-checkpoint.js'
import { drawClassFolders, drawDataSet } from './method/drawn-data-set.js'
import { peerPython, peerScript } from './method/peer-environment.js'

/**
 * Dense, multi-crop, several scales, mirror images and two networks together against a straightforward PyTorch, on the same checkpoints
 * and 200 pictures that are longer than high. Both sides get the same decoded, rescaled pixels; everything after that is made twice.
 * `npm run bench -- evaluation [STEPS [SEED]]`. Exit code 1 when a probability is further off than 1e-4, or another class comes first.
 */

const [stepsText = '40', seedText = '1'] = process.argv.slice(2)
const STEPS = Number(stepsText)
const SEED = Number(seedText)
const CLASSES = 10
const PER_CLASS = 20
const TOLERANCE = 1e-4
const INPUT_SIZE = 64
/** Pictures of an evaluation batch. */
const BATCH = 20

interface Case {
  /** Of the two checkpoints. */
  readonly checkpoints: readonly number[]
  readonly views: EvaluationViews
}

const CASES: readonly Case[] = [
  { checkpoints: [0], views: { protocol: 'center', scales: [72], flip: false } },
  { checkpoints: [0], views: { protocol: 'center', scales: [72], flip: true } },
  { checkpoints: [0], views: { protocol: 'dense', scales: [72], flip: false } },
  { checkpoints: [0], views: { protocol: 'dense', scales: [64, 96, 128], flip: true } },
  { checkpoints: [0], views: { protocol: 'multi-crop', scales: [72], flip: false } },
  { checkpoints: [0], views: { protocol: 'dense+multi-crop', scales: [72], flip: true } },
  { checkpoints: [0, 1], views: { protocol: 'dense', scales: [72, 96], flip: true } },
]

function recipeOf(pictures: string, seed: number): Recipe {
  return recipeSchema.parse({
    name: `evaluation-${String(seed)}`,
    seed,
    model: { name: 'vgg-a', width: 0.125, inputSize: INPUT_SIZE, fullyConnected: [128, 128], dropout: 0.5 },
    data: { train: pictures, validation: pictures, augment: { shortSide: 72, crop: 'random', flip: true } },
    batch: { global: 32, micro: 8 },
    learningRate: { initial: 0.01, warmupSteps: 10 },
    steps: STEPS,
    evaluation: { everySteps: STEPS, batch: BATCH },
    run: { workers: { count: 2, minimum: 2 }, checkpoint: { everySteps: STEPS } },
  })
}

/** @returns the run's newest checkpoint */
async function train(recipe: Recipe, base: string): Promise<string> {
  const training = await TrainingProcess.start(recipe, join(base, `runs-${recipe.name}`))
  let path = ''
  try {
    for await (const event of training.events()) if (event.type === 'checkpoint') path = event.path
  } finally {
    await training.stop()
  }
  return path
}

interface HandedPictures {
  /** By scale, in the order of the set: where in the file of pixels. */
  readonly pictures: Record<string, { height: number; width: number; offset: number }[]>
  readonly labels: number[]
}

/** Writes every picture at every scale, decoded, into one file. */
async function handOver(folder: string, file: string): Promise<HandedPictures> {
  const opened = await openFolder(folder)
  try {
    const samples = Array.from({ length: opened.size }, (_, sample) => sample)
    const pictures: HandedPictures['pictures'] = {}
    const parts: Uint8Array[] = []
    let offset = 0
    for (const scale of new Set(CASES.flatMap(({ views }) => views.scales))) {
      const places = []
      for (const sample of samples) {
        const { pixels, height, width } = await decodePicture(await opened.read(sample), scale)
        places.push({ height, width, offset })
        parts.push(pixels)
        offset += pixels.length
      }
      pictures[String(scale)] = places
    }
    await writeFile(file, Buffer.concat(parts))
    return { pictures, labels: samples.map((sample) => opened.label(sample)) }
  } finally {
    await opened.close()
  }
}

/** The probabilities of every picture, [picture][class], by the function that runs and `lockstep evaluate` share. */
async function probabilitiesOf(paths: readonly string[], views: EvaluationViews, folder: string): Promise<number[][]> {
  const opened = await openFolder(folder)
  const fused = new SoftMaxAverage(opened.size, CLASSES)
  try {
    for (const { path, preprocessing } of await describeCheckpoints(paths, views)) {
      const engine = await openCheckpointEngine(path)
      const loader = new EvaluationLoader({ source: opened, preprocessing, views, batch: BATCH })
      for (let batch = 0; batch < loader.batches; batch++) {
        addAverage(fused, await averageOf(engine, await loader.load(batch)), 1 / paths.length, batch * BATCH)
      }
      engine.dispose()
    }
  } finally {
    await opened.close()
  }
  return Array.from({ length: fused.samples }, (_, sample) => [...fused.probabilities.subarray(sample * CLASSES, (sample + 1) * CLASSES)])
}

/** What Lockstep says to a case: each picture's probabilities, and the counts of an evaluation. */
async function answerOf({ checkpoints, views }: Case, paths: readonly string[], folder: string, logFile: string) {
  const chosen = checkpoints.map((which) => paths[which] ?? '')
  const probabilities = await probabilitiesOf(chosen, views, folder)
  const report = await evaluateCheckpoint({ checkpoints: chosen, views, data: folder, computeThreads: 1, logFile })
  const { loss, correctTop1, correctTop5, confusion } = report
  const name = `${viewsInWords(views)}${checkpoints.length > 1 ? ', two networks' : ''}`
  console.log(`${name}: ${report.seconds.toFixed(1)} s`)
  return { name, checkpoints, ...views, probabilities, loss, correctTop1, correctTop5, confusion }
}

const python = peerPython()
const base = await mkdtemp(join(tmpdir(), 'lockstep-evaluation-'))
try {
  const [pictures, folder] = [join(base, 'pictures'), join(base, 'validation')]
  await drawDataSet(pictures, { classes: CLASSES, perClass: 40, side: 80 })
  await drawClassFolders(folder, { classes: CLASSES, perClass: PER_CLASS, side: 80, width: 108 }, 1000)
  console.log(
    `${String(STEPS)} steps of vgg-a at an eighth of its width, input ${String(INPUT_SIZE)}, seeds ${String(SEED)} and ${String(SEED + 1)}`,
  )
  const paths = [await train(recipeOf(pictures, SEED), base), await train(recipeOf(pictures, SEED + 1), base)]
  const pixels = join(base, 'pixels.u8')
  const handed = await handOver(folder, pixels)
  const cases = []
  for (const each of CASES) cases.push(await answerOf(each, paths, folder, join(base, 'lockstep.log')))
  const checkpoints = []
  for (const path of paths) {
    const checkpoint = await openCheckpoint(path)
    await checkpoint.close()
    checkpoints.push({ path, preprocessing: checkpoint.metadata.preprocessing, layers: checkpoint.metadata.network.layers })
  }
  const file = join(base, 'question.json')
  await writeFile(file, JSON.stringify({ layers: checkpoints[0]?.layers, inputSize: INPUT_SIZE, checkpoints, pixels, ...handed, cases }))
  const { status } = spawnSync(python, [peerScript('reference_evaluation.py'), file, String(TOLERANCE)], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  await rm(base, { recursive: true, force: true })
}
