import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { train } from '@lockstep/coordinator/train.js'
import { compare, comparisonLines, type Contender } from './method/sampler.js'
import { digitsRecipe } from './method/timed-run.js'

/**
 * What checkpoints cost: trainings with one every few steps and without, in turn. A sample is the time of a step, over all steps but
 * the first ones. `npm run bench -- checkpointing [ROUNDS]`. Exit code 1 when it is more than 5 %.
 */

const WARM_UP_STEPS = 5
const STEPS = 45
const EVERY_STEPS = 5
const MOST = 1.05
const MOST_ROUNDS_FACTOR = 3
/** Wide enough that a checkpoint is tens of megabytes; one worker, so that a core is left for the coordinator. */
const SET = [
  ...['model.width=0.5', 'model.fullyConnected=[1024,1024]', 'batch.global=32', `steps=${String(STEPS)}`],
  ...['evaluation.everySteps=1000', 'run.workers.count=1', 'run.checkpoint.keep=2'],
]

let megabytes = 0

/** Trains once. @returns milliseconds a step */
async function millisecondsPerStep(everySteps: number, base: string): Promise<number> {
  const recipe = await digitsRecipe([...SET, `run.checkpoint.everySteps=${String(everySteps)}`])
  let fromMs = 0
  let untilMs = 0
  for await (const event of train(recipe, { base })) {
    // weights and velocity, float32
    if (event.type === 'started') megabytes = (event.parameters * 8) / 1e6
    if (event.type === 'step' && event.step === WARM_UP_STEPS) fromMs = performance.now()
    if (event.type === 'step' && event.step === STEPS - 1) untilMs = performance.now()
  }
  await rm(base, { recursive: true, force: true })
  return (untilMs - fromMs) / (STEPS - 1 - WARM_UP_STEPS)
}

const rounds = Number(process.argv[2] ?? 5)
const base = await mkdtemp(join(tmpdir(), 'lockstep-checkpointing-'))
try {
  const contenders: Contender[] = [
    { name: 'without', sample: () => millisecondsPerStep(1_000_000, join(base, 'without')) },
    { name: `every ${String(EVERY_STEPS)} steps`, sample: () => millisecondsPerStep(EVERY_STEPS, join(base, 'with')) },
  ]
  const comparison = await compare(contenders, {
    rounds,
    mostRounds: rounds * MOST_ROUNDS_FACTOR,
    onRound: (round, values, disturbed) => {
      console.log(
        `  round ${String(round)}: ${values.map((value) => value.toFixed(1)).join(' and ')} ms a step${disturbed ? ' (disturbed)' : ''}`,
      )
    },
  })
  console.log(`digits-vgg-a at width 0.5, batch 32, one worker; a checkpoint is ${megabytes.toFixed(0)} MB`)
  for (const line of comparisonLines(comparison, 'ms')) console.log(line)
  const [without, saving] = comparison.results.map(({ summary }) => summary.median)
  const ratio = (saving ?? Number.NaN) / (without ?? Number.NaN)
  const verdict = Number.isNaN(ratio) ? 'cannot be told: every round was disturbed; stop what else runs here' : ratio.toFixed(3)
  console.log(`  time with checkpoints beside without: ${verdict} (at most ${String(MOST)} wanted)`)
  process.exitCode = ratio <= MOST ? 0 : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
process.exit()
