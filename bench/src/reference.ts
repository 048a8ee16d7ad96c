import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TrainingProcess } from '@lockstep/cli/measurement/training-process.js'
import { BatchLoader } from '@lockstep/data/batch-loader.js'
import { openTrainingData } from '@lockstep/data/training-data.js'
import { encodeHeader } from '@lockstep/shared/checkpoint/safetensors.js'
import { initializeParameter } from '@lockstep/shared/initialization/parameters.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawDataSet } from './method/drawn-data-set.js'
import { peerPython, peerScript } from './method/peer-environment.js'

/**
 * Every step of a real training on two workers against PyTorch in float64, from our own state before the step: what a step computes
 * is what it should. (Over a whole trajectory rounding sooner or later flips a ReLU or a pooling, and any two programs part.)
 * `npm run bench -- reference [STEPS [SEED]]`. Exit code 1 when a tensor is further off than it may be.
 */

const [stepsText = '20', seedText = '1'] = process.argv.slice(2)
const STEPS = Number(stepsText)
const SEED = Number(seedText)
const CLASSES = 10
/** Relative L2 error of a tensor that always passes. */
const TOLERANCE = 1e-4
/** Above it, this many times PyTorch's own float32 error passes. */
const FACTOR = 3

function recipeOf(pictures: string): Recipe {
  return recipeSchema.parse({
    name: 'reference',
    seed: SEED,
    model: { name: 'vgg-a', width: 0.25, inputSize: 64, fullyConnected: [128], dropout: 0 },
    data: { train: pictures, validation: pictures, shuffle: 'none' },
    batch: { global: 64, micro: 8 },
    // Ten times the usual penalty: beside these gradients a wrong one would hide otherwise.
    optimizer: { weightDecay: 5e-3 },
    // A drop in the middle: from there on the velocity still carries the old rate.
    learningRate: { initial: 0.005, schedule: { type: 'steps', at: [Math.ceil(STEPS / 2)], factor: 0.1 } },
    steps: STEPS,
    evaluation: { everySteps: STEPS },
    run: { workers: { count: 2, minimum: 2 }, checkpoint: { everySteps: 1, keep: STEPS + 10 } },
  })
}

interface Trajectory {
  /** Files of the states 1 … STEPS. */
  readonly states: string[]
  readonly losses: number[]
  readonly rates: number[]
}

async function trajectoryOf(recipe: Recipe, base: string): Promise<Trajectory> {
  const training = await TrainingProcess.start(recipe, join(base, 'runs'))
  const trajectory: Trajectory = { states: [], losses: [], rates: [] }
  try {
    for await (const event of training.events()) {
      if (event.type === 'step') {
        trajectory.losses.push(event.loss)
        trajectory.rates.push(event.learningRate)
      }
      if (event.type === 'checkpoint') trajectory.states[event.step - 1] = event.path
    }
  } finally {
    await training.stop()
  }
  return trajectory
}

/** State 0, of which a run keeps no checkpoint: the first weights, and no velocity yet. */
async function writeFirstState(path: string, recipe: Recipe, network: Network, layout: ParameterLayout): Promise<void> {
  const weights = new Float32Array(layout.size)
  layout.entries.forEach((entry, index) => {
    const tensor = weights.subarray(entry.offset, entry.offset + entry.size)
    initializeParameter(network, layout, index, recipe.initialization, recipe.seed, tensor)
  })
  const velocity = layout.entries.map(({ name, shape }) => ({ name: `velocity/${name}`, shape }))
  const header = encodeHeader([...layout.entries, ...velocity], {})
  await writeFile(path, Buffer.concat([header, Buffer.from(weights.buffer), Buffer.alloc(weights.byteLength)]))
}

/** The pictures of every step as the training saw them, [global, side, side, 3], and their labels. */
async function writeBatches(folder: string, recipe: Recipe): Promise<{ images: string[]; labels: string[]; classes: number }> {
  const { inputSize } = recipe.model
  const data = await openTrainingData(recipe.data, { seed: recipe.seed, inputSize })
  const loader = new BatchLoader({ data, recipe, inputSize })
  const files = { images: [] as string[], labels: [] as string[], classes: data.classes.length }
  try {
    for (let step = 0; step < STEPS; step++) {
      const { images, labels } = await loader.training(step * recipe.batch.global, recipe.batch.global)
      const name = join(folder, `batch-${String(step)}`)
      await writeFile(`${name}.f32`, Buffer.from(images.buffer))
      await writeFile(`${name}.i32`, Buffer.from(labels.buffer))
      files.images.push(`${name}.f32`)
      files.labels.push(`${name}.i32`)
    }
  } finally {
    await data.close()
  }
  return files
}

const python = peerPython()
const base = await mkdtemp(join(tmpdir(), 'lockstep-reference-'))
try {
  const pictures = join(base, 'pictures')
  await drawDataSet(pictures, { classes: CLASSES, perClass: 40, side: 72 })
  const recipe = recipeOf(pictures)
  console.log(`${String(STEPS)} steps of ${recipe.model.name} at width ${String(recipe.model.width)} on two workers, seed ${String(SEED)}`)
  const { states, ...course } = await trajectoryOf(recipe, base)
  const { classes, ...batches } = await writeBatches(base, recipe)
  const network = networkOf(recipe.model, classes)
  const layout = layoutOf(network)
  const first = join(base, 'first.safetensors')
  await writeFirstState(first, recipe, network, layout)
  const { inputSize } = recipe.model
  const { momentum, weightDecay } = recipe.optimizer
  const file = join(base, 'trajectory.json')
  await writeFile(
    file,
    JSON.stringify({
      ...{ layers: network.layers, entries: layout.entries, momentum, weightDecay },
      ...{ states: [first, ...states], ...course, ...batches, batchShape: [recipe.batch.global, inputSize, inputSize, 3] },
    }),
  )
  const { status } = spawnSync(python, [peerScript('reference_step.py'), file, String(TOLERANCE), String(FACTOR)], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  await rm(base, { recursive: true, force: true })
}
