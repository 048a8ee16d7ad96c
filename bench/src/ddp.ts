import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readInstant, windowBetween, type Window } from '@lockstep/cli/measurement/foreign-load.js'
import { recipeSchema, type Recipe } from '@lockstep/shared/recipe/schema.js'
import { DdpGroup } from './method/ddp-group.js'
import { drawDataSet } from './method/drawn-data-set.js'
import { peerPython } from './method/peer-environment.js'
import { quietRounds, reportMedian, reportVerdict } from './method/quiet-rounds.js'
import { coresFor, timeTraining } from './method/timed-training.js'

/**
 * A whole SGD step of two workers beside PyTorch's DistributedDataParallel over gloo, on the same two cores, one compute thread each, in
 * turn in one run. Ours is a whole training, with coordinator, averager, queue and pictures that are decoded; theirs computes on the same
 * numbers at every step. Each sample is a start from nothing, steps to warm up and the measured ones, since the processes of both would not
 * fit into memory together. `npm run bench -- ddp [ROUNDS [CASE]]`, CASE vgg-d or vgg-a.
 */

interface Case {
  readonly network: 'vgg-d' | 'vgg-a'
  readonly inputSize: number
  /** Pictures a worker. */
  readonly batch: number
  /** On both sides. */
  readonly parameters: number
  readonly warmUpSteps: number
  readonly steps: number
  /** Of their time, wall and processor. */
  readonly atMost: number
}

const CASES: readonly Case[] = [
  { network: 'vgg-d', inputSize: 224, batch: 4, parameters: 138_357_544, warmUpSteps: 2, steps: 4, atMost: 0.85 },
  { network: 'vgg-a', inputSize: 64, batch: 8, parameters: 38_491_496, warmUpSteps: 4, steps: 20, atMost: 0.8 },
]
const WORKERS = 2
const CLASSES = 1000

interface Sample extends Window {
  readonly msPerStep: number
  /** Of all processes together. */
  readonly cpuMsPerStep: number
}

function recipeOf({ network, inputSize, batch }: Case, pictures: string): Recipe {
  return recipeSchema.parse({
    name: network,
    model: { name: network, inputSize, dropout: 0 },
    data: { train: pictures, validation: pictures, augment: { shortSide: inputSize, crop: 'center', flip: false } },
    batch: { global: batch * WORKERS, micro: batch },
    optimizer: { momentum: 0.9, weightDecay: 5e-4, decayOn: 'all' },
    learningRate: { initial: 0.01, schedule: { type: 'constant' } },
    initialization: { method: 'he' },
    // It is stopped before: an evaluation at the end would only take time.
    steps: 1000,
    evaluation: { everySteps: 1000, batch },
    run: { workers: { count: WORKERS, minimum: WORKERS }, checkpoint: { everySteps: 1000 } },
  })
}

function sampleOf(window: Window, steps: number): Sample {
  return { ...window, msPerStep: (window.seconds * 1000) / steps, cpuMsPerStep: (window.ownSeconds * 1000) / steps }
}

function checkParameters({ network, parameters }: Case, found: number, whose: string): void {
  if (found !== parameters) throw new Error(`${whose} ${network} has ${String(found)} parameters instead of ${String(parameters)}`)
}

async function ours(one: Case, pictures: string, base: string, cores: readonly number[]): Promise<Sample> {
  const timed = await timeTraining(recipeOf(one, pictures), base, cores, one)
  checkParameters(one, timed.parameters, 'our')
  return sampleOf(timed, one.steps)
}

async function theirs(one: Case, cores: readonly number[]): Promise<Sample> {
  const group = await DdpGroup.start({ ...one, cores })
  try {
    checkParameters(one, group.parameters, 'their')
    await group.steps('together', one.warmUpSteps)
    const before = await readInstant()
    await group.steps('together', one.steps)
    return sampleOf(windowBetween(before, await readInstant()), one.steps)
  } finally {
    await group.end()
  }
}

const words = ({ msPerStep, cpuMsPerStep }: Sample): string => `${msPerStep.toFixed(0)} ms a step, ${cpuMsPerStep.toFixed(0)} CPU ms`

/** @returns whether both wall and processor time are small enough */
async function measure(one: Case, base: string, rounds: number): Promise<boolean> {
  const { network, inputSize, batch, parameters, steps, atMost } = one
  const cores = await coresFor(WORKERS)
  const pictures = join(base, `pictures-${network}`)
  await drawDataSet(pictures, { classes: CLASSES, perClass: 1, side: inputSize })
  console.log(
    `${network}, ${String(parameters)} parameters, ${String(inputSize)} px, ${String(batch)} pictures a worker, ${String(WORKERS)} workers,` +
      ` ${String(steps)} steps a sample; load ${(loadavg()[0] ?? 0).toFixed(1)}`,
  )
  const entrants = [
    { name: 'Lockstep', words, sample: async () => await ours(one, pictures, join(base, 'run'), cores) },
    { name: 'DDP', words, sample: async () => await theirs(one, cores) },
  ]
  const { kept } = await quietRounds(entrants, rounds)
  const ratioOf = (key: 'msPerStep' | 'cpuMsPerStep', what: string): number => {
    const [own, other] = entrants.map(({ name }, index) =>
      reportMedian(
        `${name}, ${what}`,
        kept.flatMap((round) => round[index]?.[key] ?? []),
        'ms a step',
        0,
      ),
    )
    return (own ?? Number.NaN) / (other ?? Number.NaN)
  }
  const [wall, cpu] = [ratioOf('msPerStep', 'wall'), ratioOf('cpuMsPerStep', 'CPU')]
  return [
    reportVerdict(`${network}, wall beside DDP`, wall, '×', 3, { atMost }),
    reportVerdict(`${network}, CPU beside DDP`, cpu, '×', 3, { atMost }),
  ].every(Boolean)
}

const [roundsText = '5', wanted] = process.argv.slice(2)
const cases = CASES.filter(({ network }) => wanted === undefined || network === wanted)
if (cases.length === 0) throw new Error(`there is no case ${wanted ?? ''}: vgg-d, vgg-a`)
peerPython()
const base = await mkdtemp(join(tmpdir(), 'lockstep-ddp-bench-'))
try {
  const holds: boolean[] = []
  for (const one of cases) holds.push(await measure(one, base, Number(roundsText)))
  process.exitCode = holds.every(Boolean) ? 0 : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
