import { readFile, mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readInstant, windowBetween, type Window } from '@lockstep/cli/measurement/foreign-load.js'
import { median } from '@lockstep/cli/measurement/statistics.js'
import { TRACE_FILE } from '@lockstep/coordinator/trace/run-trace.js'
import type { TraceEvent } from '@lockstep/coordinator/trace/trace-events.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { DdpGroup } from './method/ddp-group.js'
import { drawDataSet } from './method/drawn-data-set.js'
import { peerPython } from './method/peer-environment.js'
import { quietRounds, reportMedian, reportVerdict, type Entrant } from './method/quiet-rounds.js'
import { stepOverhead } from './method/step-overhead.js'
import { coresFor, timeTraining, type TimedSteps } from './method/timed-training.js'

/**
 * What a step takes that is not computing: a network of 9,778 parameters, two workers, everything confined to two cores. Ours by the trace of
 * a whole training: from commit to commit, less what the slower worker computed. Beside it, in turn, PyTorch's DistributedDataParallel over
 * gloo with the same network: a step less the same step of each process alone, without the others. `npm run bench -- overhead [ROUNDS]`.
 */

const WORKERS = 2
const BATCH = 8
const INPUT_SIZE = 28
const CLASSES = 10
/** bench/src/peers/small_network.py has the same. */
const MODEL = { name: 'small-cnn', width: 0.25, inputSize: INPUT_SIZE, fullyConnected: [40], dropout: 0 } as const
const PARAMETERS = 9778
/** A step is a few milliseconds of JavaScript: for some three thousand of them V8 still compiles what it found to be in use. */
const TIMED: TimedSteps = { warmUpSteps: 3000, steps: 300 }
/** Tracing is such code as well. */
const TRACED_FROM = 500
const AT_MOST_MS = 3

interface Sample extends Window {
  readonly stepMs: number
  readonly computeMs: number
  readonly overheadMs: number
  /** Of all processes together. */
  readonly cpuMsPerStep: number
  readonly partsMs: ReadonlyMap<string, number>
}

function recipeOf(pictures: string): Recipe {
  const { warmUpSteps, steps } = TIMED
  return recipeSchema.parse({
    name: 'overhead',
    model: MODEL,
    data: { train: pictures, validation: pictures, augment: { shortSide: INPUT_SIZE, crop: 'center', flip: false } },
    batch: { global: BATCH * WORKERS, micro: BATCH },
    learningRate: { initial: 0.01, schedule: { type: 'constant' } },
    // It is stopped before: an evaluation at the end would only take time.
    steps: 100_000,
    evaluation: { everySteps: 100_000, batch: BATCH },
    run: {
      ...{ workers: { count: WORKERS, minimum: WORKERS }, checkpoint: { everySteps: 100_000 } },
      trace: { steps: [TRACED_FROM, warmUpSteps + steps] },
    },
  })
}

async function ours(pictures: string, base: string, cores: readonly number[]): Promise<Sample> {
  const { warmUpSteps, steps } = TIMED
  const { parameters, directory, ...window } = await timeTraining(recipeOf(pictures), base, cores, TIMED)
  checkParameters(parameters, 'our')
  const { traceEvents } = JSON.parse(await readFile(join(directory, TRACE_FILE), 'utf8')) as { traceEvents: TraceEvent[] }
  const overhead = stepOverhead(traceEvents, { leaves: WORKERS, first: warmUpSteps + 1, last: warmUpSteps + steps - 1 })
  if (overhead.steps < steps / 2) throw new Error(`the trace tells of ${String(overhead.steps)} whole steps of ${String(steps)}`)
  return { ...window, ...overhead, cpuMsPerStep: (window.ownSeconds * 1000) / steps }
}

async function theirs(cores: readonly number[]): Promise<Sample> {
  const { warmUpSteps, steps } = TIMED
  const group = await DdpGroup.start({ network: MODEL.name, batch: BATCH, inputSize: INPUT_SIZE, cores })
  try {
    checkParameters(group.parameters, 'their')
    for (const how of ['together', 'alone'] as const) await group.steps(how, warmUpSteps)
    const computeMs = Math.max(...(await group.steps('alone', steps)))
    const before = await readInstant()
    const stepMs = median(await group.steps('together', steps))
    const window = windowBetween(before, await readInstant())
    const overheadMs = stepMs - computeMs
    return { ...window, stepMs, computeMs, overheadMs, cpuMsPerStep: (window.ownSeconds * 1000) / steps, partsMs: new Map() }
  } finally {
    await group.end()
  }
}

function checkParameters(found: number, whose: string): void {
  if (found !== PARAMETERS) throw new Error(`${whose} network has ${String(found)} parameters instead of ${String(PARAMETERS)}`)
}

const words = ({ stepMs, computeMs, overheadMs, cpuMsPerStep }: Sample): string =>
  `${overheadMs.toFixed(2)} ms beside computing (step ${stepMs.toFixed(2)}, computing ${computeMs.toFixed(2)}), ${cpuMsPerStep.toFixed(2)} CPU ms a step`

/** @returns whether ours is small enough */
function conclude(kept: readonly (readonly Sample[])[], names: readonly string[]): boolean {
  const figures = [
    ['overheadMs', 'beside computing'],
    ['stepMs', 'step'],
    ['computeMs', 'computing'],
    ['cpuMsPerStep', 'CPU'],
  ] as const
  for (const [key, what] of figures)
    names.forEach((name, index) => {
      reportMedian(
        `${name}, ${what}`,
        kept.flatMap((round) => round[index]?.[key] ?? []),
        'ms a step',
        2,
      )
    })
  const parts = new Set(kept.flatMap(([own]) => [...(own?.partsMs.keys() ?? [])]))
  console.log('  ours, the slower worker, medians of a step:')
  for (const part of parts)
    reportMedian(
      `  ${part}`,
      kept.map(([own]) => own?.partsMs.get(part) ?? 0),
      'ms',
      2,
    )
  const overhead = median(kept.flatMap(([own]) => own?.overheadMs ?? []))
  return reportVerdict('beside computing', overhead, 'ms a step', 2, { atMost: AT_MOST_MS })
}

const cores = await coresFor(WORKERS)
const rounds = Number(process.argv[2] ?? 5)
peerPython()
const base = await mkdtemp(join(tmpdir(), 'lockstep-overhead-'))
try {
  const pictures = join(base, 'pictures')
  await drawDataSet(pictures, { classes: CLASSES, perClass: 16, side: INPUT_SIZE })
  console.log(
    `small-cnn, ${String(PARAMETERS)} parameters, ${String(BATCH)} pictures a worker, ${String(TIMED.steps)} steps a sample;` +
      ` load ${(loadavg()[0] ?? 0).toFixed(1)}`,
  )
  const entrants: Entrant<Sample>[] = [
    { name: 'Lockstep', words, sample: async () => await ours(pictures, join(base, 'run'), cores) },
    { name: 'DDP', words, sample: async () => await theirs(cores) },
  ]
  const { kept } = await quietRounds(entrants, rounds)
  process.exitCode = conclude(
    kept,
    entrants.map(({ name }) => name),
  )
    ? 0
    : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
