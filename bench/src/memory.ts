import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { interferenceBetween, readCounters } from '@lockstep/cli/measurement/interference.js'
import { readMemory, readTree, resetPeak, type MemoryReading } from '@lockstep/cli/measurement/process-readings.js'
import { TrainingProcess } from '@lockstep/cli/measurement/training-process.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { coordinatorBytes, workerBytes } from '@lockstep/shared/models/memory.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { drawDataSet } from './method/drawn-data-set.js'

/**
 * Memory of a coordinator and two workers while they train VGG-16: 224 px, 1000 classes, micro-batch 4, eight leaves, checkpoints on
 * the way. `npm run bench -- memory [STEPS [MODEL INPUT_SIZE [EVALUATION_BATCH]]]`. Exit code 1 when a process takes more than it may, or keeps growing.
 */

const [stepsText = '30', model = 'vgg-d', sizeText = '224', evaluationText = '32'] = process.argv.slice(2)
const STEPS = Number(stepsText)
const INPUT_SIZE = Number(sizeText)
/** The recipe's default; the probe at joining computes one such batch. */
const EVALUATION_BATCH = Number(evaluationText)
const WORKERS = 2
const MICRO_BATCH = 4
const LEAVES = 8
const CLASSES = 1000
/** The network's activations, gradients and buffers are all there by then. */
const SETTLED_AT = 5
const LIMIT_BYTES = { worker: 6e9, coordinator: 4.5e9 }
/** Between the first and the second half of the settled steps. */
const MOST_GROWTH = 0.01

function recipeOf(pictures: string): Recipe {
  return recipeSchema.parse({
    name: 'memory',
    model: { name: model, inputSize: INPUT_SIZE },
    data: {
      ...{ train: pictures, validation: pictures },
      augment: { shortSide: INPUT_SIZE + 32, crop: 'random', flip: true, colorShift: 0.1 },
    },
    batch: { global: MICRO_BATCH * LEAVES, micro: MICRO_BATCH },
    // It is stopped before: the evaluation at the end of a run would take longer than the measurement.
    steps: STEPS + 1000,
    evaluation: { everySteps: STEPS + 1000, batch: EVALUATION_BATCH },
    run: { workers: { count: WORKERS, minimum: WORKERS }, checkpoint: { everySteps: 10, keep: 1 } },
  })
}

interface Measured {
  readonly name: string
  readonly kind: keyof typeof LIMIT_BYTES
  readonly pid: number
  /** A step each: the most since the step before, and what was resident at the step's end. */
  readonly steps: MemoryReading[]
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(3)
const largest = (readings: readonly MemoryReading[]): number => Math.max(...readings.map(({ peakBytes }) => peakBytes))

/** Trains the steps and reads every process at the end of each. */
async function measure(recipe: Recipe, base: string): Promise<{ measured: Measured[]; checkpoints: number[]; others: MemoryReading[] }> {
  const training = await TrainingProcess.start(recipe, base)
  const measured: Measured[] = [{ name: 'coordinator', kind: 'coordinator', pid: training.pid, steps: [] }]
  const checkpoints: number[] = []
  let others: MemoryReading[] = []
  let [counters, startMs] = [await readCounters(), performance.now()]
  try {
    for await (const event of training.events()) {
      if (event.type === 'workerJoined') measured.push({ name: event.name, kind: 'worker', pid: event.pid, steps: [] })
      if (event.type === 'checkpoint') checkpoints.push(event.step)
      if (event.type !== 'step' || event.step > STEPS) continue
      for (const { pid, steps } of measured) {
        steps.push(await readMemory(pid))
        await resetPeak(pid)
      }
      const [now, seconds] = [await readCounters(), (performance.now() - startMs) / 1000]
      const { steal } = interferenceBetween(counters, now, seconds)
      ;[counters, startMs] = [now, performance.now()]
      const peaks = measured.map(({ name, steps }) => `${name} ${gigabytes(steps.at(-1)?.peakBytes ?? 0)}`).join(', ')
      const machine = `load ${(loadavg()[0] ?? 0).toFixed(1)}, stolen ${(steal * 100).toFixed(1)} %`
      console.log(
        `  step ${String(event.step).padStart(2)}: ${seconds.toFixed(1).padStart(5)} s, loss ${event.loss.toFixed(3)}, peak GB: ${peaks} (${machine})`,
      )
      if (event.step < STEPS) continue
      const known = new Set(measured.map(({ pid }) => pid))
      others = await Promise.all((await readTree(training.pid)).filter(({ pid }) => !known.has(pid)).map(({ pid }) => readMemory(pid)))
      void training.stop()
    }
  } finally {
    await training.stop()
  }
  return { measured, checkpoints, others }
}

/** One process's verdict. @returns whether it stayed within its limit and did not grow */
function judge({ name, kind, steps }: Measured, expectedBytes: number): boolean {
  const settled = steps.slice(SETTLED_AT - 1)
  const half = Math.ceil(settled.length / 2)
  const [most, growth] = [largest(steps), largest(settled.slice(half)) / largest(settled.slice(0, half)) - 1]
  const residents = settled.map(({ residentBytes }) => residentBytes)
  const resident = `${gigabytes(Math.min(...residents))} … ${gigabytes(Math.max(...residents))}`
  const fits = most <= LIMIT_BYTES[kind]
  const constant = growth <= MOST_GROWTH
  console.log(
    `  ${name.padEnd(11)} peak ${gigabytes(most)} GB (limit ${gigabytes(LIMIT_BYTES[kind])}, formula ${gigabytes(expectedBytes)}): ${fits ? 'fits' : 'TOO MUCH'}; ` +
      `from step ${String(SETTLED_AT)} resident ${resident} GB, peak of the second half ${(growth * 100).toFixed(2)} % above the first's: ${constant ? 'constant' : 'GROWS'}`,
  )
  return fits && constant
}

const base = await mkdtemp(join(tmpdir(), 'lockstep-memory-'))
try {
  const pictures = join(base, 'pictures')
  await drawDataSet(pictures, { classes: CLASSES, perClass: 1, side: INPUT_SIZE + 32 })
  const recipe = recipeOf(pictures)
  const network = networkOf(recipe.model, CLASSES)
  const layout = layoutOf(network)
  const options = { network, layout, microBatch: MICRO_BATCH, leaves: LEAVES, workers: WORKERS }
  const expected = { worker: workerBytes(options), coordinator: coordinatorBytes(options) }
  console.log(
    `${model}, ${String(layout.size)} parameters, ${String(INPUT_SIZE)} px, micro-batch ${String(MICRO_BATCH)}, ${String(LEAVES)} leaves, ${String(WORKERS)} workers, ${String(STEPS)} steps`,
  )
  const { measured, checkpoints, others } = await measure(recipe, join(base, 'runs'))
  const verdicts = measured.map((one) => judge(one, expected[one.kind]))
  const rest = others.reduce((sum, { peakBytes }) => sum + peakBytes, 0)
  console.log(`  the queue's server ${(rest / 1e6).toFixed(0)} MB; checkpoints after steps ${checkpoints.join(', ')}`)
  process.exitCode = verdicts.length === 1 + WORKERS && verdicts.every(Boolean) ? 0 : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
