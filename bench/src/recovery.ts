import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { median } from '@lockstep/cli/measurement/statistics.js'
import { train } from '@lockstep/coordinator/train.js'
import { coordinatorLog, digitsRecipe, DIGITS_RECIPE } from './method/timed-run.js'

/**
 * How soon a run goes on after a fault. `npm run bench -- recovery [REPETITIONS]`. From the fault of a worker to its leaves being
 * assigned to others: SIGKILL (the stream breaks) and SIGSTOP (it falls silent); and from `lockstep resume` of a killed coordinator to
 * the next committed step. Exit code 1 when a limit is exceeded.
 */

const WORKERS = 2
const FAULT_AT = 8
const STEPS = 200
/** Milliseconds. */
const LIMITS = { SIGKILL: 500, SIGSTOP: 3_500, resume: 5_000 }
const LAUNCHER = fileURLToPath(new URL('../../packages/cli/bin/lockstep.mjs', import.meta.url))
const SET = [`steps=${String(STEPS)}`, 'evaluation.everySteps=1000', `run.workers.count=${String(WORKERS)}`, 'run.checkpoint.everySteps=6']

interface Reassigned {
  readonly ms: number
  /** Leaves that were given out a second time, of so many in a step. */
  readonly leaves: number
  readonly ofLeaves: number
}

/** A run in which one worker meets with a signal at the beginning of a step. */
async function reassignment(signal: 'SIGKILL' | 'SIGSTOP', base: string): Promise<Reassigned> {
  const recipe = await digitsRecipe(SET)
  let victim: { pid: number; worker: string } | undefined
  let faultMs: number | undefined
  let run = ''
  let ofLeaves = 0
  let stepsSince = 0
  const enough = new AbortController()
  for await (const event of train(recipe, { base, signal: enough.signal })) {
    if (event.type === 'started') [run, ofLeaves] = [event.directory, event.leaves]
    // one that was frozen joins again, as another member
    if (event.type === 'workerJoined' && faultMs === undefined) victim = event
    if (event.type === 'step' && faultMs !== undefined && ++stepsSince === 2) enough.abort('measured')
    if (event.type === 'step' && event.step >= FAULT_AT && event.workers === WORKERS && faultMs === undefined && victim !== undefined) {
      faultMs = Date.now()
      process.kill(victim.pid, signal)
    }
    // a frozen one goes on, is told to join again, and ends with the run
    if (event.type === 'workerLost' && signal === 'SIGSTOP' && victim !== undefined) process.kill(victim.pid, 'SIGCONT')
  }
  const log = await coordinatorLog(run)
  const gone = log.findIndex(({ msg, worker }) => msg === 'worker gone' && worker === victim?.worker)
  const again = log.slice(gone).find(({ msg }) => msg === 'span assigned')
  if (gone < 0 || again === undefined || faultMs === undefined) throw new Error(`the fault did not happen in ${run}`)
  const given = log.filter(({ msg, step }) => msg === 'span assigned' && step === again.step)
  return { ms: again.timeMs - faultMs, leaves: given.reduce((sum, { count = 0 }) => sum + count, 0) - ofLeaves, ofLeaves }
}

interface Lines {
  readonly ended: Promise<void>
  kill(): void
}

/** `lockstep` with these words; each JSON line it prints goes to `onLine` with the milliseconds since its start. */
function lockstep(words: readonly string[], cwd: string, onLine: (line: { type: string; step?: number }, ms: number) => void): Lines {
  const startMs = performance.now()
  const child = spawn(process.execPath, [LAUNCHER, ...words, '--json'], { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface({ input: child.stdout }).on('line', (line) => {
    onLine(JSON.parse(line) as { type: string; step?: number }, performance.now() - startMs)
  })
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => {
      resolve()
    })
  })
  return { ended, kill: () => child.kill('SIGKILL') }
}

interface Resumed {
  /** From the start of `lockstep resume` to the first step it commits. */
  readonly firstMs: number
  /** From there to the first step that the killed coordinator had not done. */
  readonly replayMs: number
  readonly replayed: number
}

async function resumption(base: string, number: number): Promise<Resumed> {
  const run = join(base, `killed-${String(number)}`)
  const sets = SET.flatMap((change) => ['--set', change])
  let last = 0
  const first = lockstep(['train', DIGITS_RECIPE, '--run', run, ...sets], base, ({ type, step = 0 }) => {
    if (type === 'step') last = step
    if (type === 'step' && step === FAULT_AT + 2) first.kill()
  })
  await first.ended
  const times: { step: number; ms: number }[] = []
  const second = lockstep(['resume', run], base, ({ type, step = 0 }, ms) => {
    if (type === 'step') times.push({ step, ms })
    if (type === 'step' && step > last) second.kill()
  })
  await second.ended
  const [next] = times
  const beyond = times.find(({ step }) => step > last)
  if (next === undefined || beyond === undefined) throw new Error(`${run} did not go on`)
  return { firstMs: next.ms, replayMs: beyond.ms - next.ms, replayed: last - next.step + 1 }
}

function report(what: string, values: readonly number[], limitMs: number): boolean {
  const most = Math.max(...values)
  const holds = most <= limitMs
  const figures = `median ${median(values).toFixed(0)} ms, most ${most.toFixed(0)} ms of ${String(values.length)}`
  console.log(`  ${holds ? 'yes' : 'NO '}  ${what}: ${figures} (at most ${String(limitMs)} ms wanted)`)
  return holds
}

const repetitions = Number(process.argv[2] ?? 5)
process.env.LOCKSTEP_LOG_LEVEL = 'debug'
const base = await mkdtemp(join(tmpdir(), 'lockstep-recovery-'))
let holds = true
try {
  const { batch, model } = await digitsRecipe(SET)
  console.log(
    `digits-vgg-a: ${model.name}, width ${String(model.width)}, ${String(model.inputSize)} px, batch ${String(batch.global)} in leaves of ${String(batch.micro * batch.leaf)}, ${String(WORKERS)} workers`,
  )
  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    const found: Reassigned[] = []
    for (let number = 0; number < repetitions; number++) found.push(await reassignment(signal, base))
    const assigned = report(
      `${signal} of a worker to its leaves being assigned`,
      found.map(({ ms }) => ms),
      LIMITS[signal],
    )
    const leaves = Math.max(...found.map((each) => each.leaves))
    const ofLeaves = found[0]?.ofLeaves ?? 0
    console.log(
      `  ${leaves <= ofLeaves ? 'yes' : 'NO '}  work repeated: at most ${String(leaves)} of the ${String(ofLeaves)} leaves of one step`,
    )
    holds &&= assigned && leaves <= ofLeaves
  }
  const resumed: Resumed[] = []
  for (let number = 0; number < repetitions; number++) resumed.push(await resumption(base, number))
  const started = report(
    'resume of a killed coordinator to the next committed step',
    resumed.map(({ firstMs }) => firstMs),
    LIMITS.resume,
  )
  const { replayMs = 0, replayed = 0 } = resumed[0] ?? {}
  console.log(`       then the replay from the last checkpoint, such as ${String(replayed)} steps in ${replayMs.toFixed(0)} ms`)
  process.exitCode = holds && started ? 0 : 1
} finally {
  await rm(base, { recursive: true, force: true })
}
process.exit()
