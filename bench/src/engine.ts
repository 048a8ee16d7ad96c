import { fileURLToPath } from 'node:url'
import { LineProcess } from './method/line-process.js'
import { peerPython, peerScript } from './method/peer-environment.js'
import { compare, comparisonLines, type Contender } from './method/sampler.js'

/**
 * One gradient of VGG-16 (batch 8, 224 px, 2 threads) beside the same in PyTorch, in turn in one run. Ours ends with the gradient in
 * JavaScript's memory, ready to be sent; PyTorch's stays where it was made. `npm run bench -- engine [ROUNDS]`.
 */

const NETWORK = 'vgg-d'
const BATCH = 8
const INPUT_SIZE = 224
const THREADS = 2
const WARM_UP_STEPS = 2
const MOST_ROUNDS_FACTOR = 4
/** Of PyTorch's speed; below it the exit code is 1. */
const AT_LEAST = 0.95

const rounds = Number(process.argv[2] ?? 15)
const threads = { TF_NUM_INTRAOP_THREADS: String(THREADS), OMP_NUM_THREADS: String(THREADS), TF_NUM_INTEROP_THREADS: '1' }
/** As workers have it: fresh buffers of half a gigabyte would cost page faults at every step. */
const allocation = { MALLOC_MMAP_MAX_: '0', MALLOC_TRIM_THRESHOLD_: '-1', MALLOC_TOP_PAD_: '268435456' }
const sizes = [NETWORK, String(BATCH), String(INPUT_SIZE)]

const python = peerPython()
const own = fileURLToPath(new URL('./processes/engine-step.js', import.meta.url))
const processes = [
  { name: 'Lockstep', process: new LineProcess(process.execPath, [own, ...sizes], { ...threads, ...allocation }) },
  { name: 'PyTorch', process: new LineProcess(python, [peerScript('train_step.py'), ...sizes, String(THREADS), 'gradient'], {}) },
]
try {
  const parameters: string[] = []
  for (const { process: child } of processes) {
    parameters.push(await child.ask('hello'))
    for (let step = 0; step < WARM_UP_STEPS; step++) await child.ask('step')
  }
  if (new Set(parameters).size !== 1) throw new Error(`the networks differ: ${parameters.join(' and ')} parameters`)
  console.log(`${NETWORK}, ${parameters[0] ?? ''} parameters, batch ${String(BATCH)}, ${String(INPUT_SIZE)} px, ${String(THREADS)} threads`)
  const contenders: Contender[] = processes.map(({ name, process: child }) => ({
    name,
    sample: async () => Number(await child.ask('step')),
  }))
  const comparison = await compare(contenders, {
    rounds,
    mostRounds: rounds * MOST_ROUNDS_FACTOR,
    onRound: (round, values, disturbed) => {
      console.log(`  round ${String(round)}: ${values.map((value) => value.toFixed(0)).join(' and ')} ms${disturbed ? ' (disturbed)' : ''}`)
    },
  })
  for (const line of comparisonLines(comparison, 'ms')) console.log(line)
  const [ours, theirs] = comparison.results.map(({ summary }) => summary.median)
  const ratio = (theirs ?? Number.NaN) / (ours ?? Number.NaN)
  const verdict = Number.isNaN(ratio) ? 'cannot be told: every round was disturbed; stop what else runs here' : ratio.toFixed(3)
  console.log(`  speed beside PyTorch: ${verdict} (at least ${String(AT_LEAST)} wanted)`)
  process.exitCode = ratio >= AT_LEAST ? 0 : 1
} finally {
  for (const { process: child } of processes) child.close()
}
