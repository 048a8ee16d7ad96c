import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedValkey } from '@lockstep/coordinator/queue/embedded-valkey.js'
import { QUEUE_PASSWORD_VARIABLE } from '@lockstep/coordinator/queue/queue-address.js'
import { connectQueue } from '@lockstep/coordinator/queue/queue-connection.js'
import { train } from '@lockstep/coordinator/train.js'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { recipeText } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { startCommand } from '@lockstep/tests/support/command.js'
import { drawFolder } from '@lockstep/tests/support/picture-folder.js'
import { descendantsOf, isAlive } from '@lockstep/tests/support/process-facts.js'
import { RemoteWorker } from '@lockstep/tests/support/remote-worker.js'
import { recipeOf } from '@lockstep/tests/support/training.js'
import { factsOf, growth, tableOf, type Facts } from './method/soak-facts.js'

/**
 * A long run under steady harm: `npm run bench -- soak [STEPS]`. A small network, four leaves a step; every 30 s a worker is killed and
 * another joined by hand. What the processes hold is counted early, late and after the end; then everything is killed at once and
 * started again. Prints docs/soak.md's tables; exit code 1 where something grew or stayed.
 */

const steps = Number(process.argv[2] ?? 2000)
const KILL_EVERY_MS = 30_000
/** Everything is warm by then: both workers at work, a checkpoint written. */
const FIRST_LOOK_STEP = 120

const base = await mkdtemp(join(tmpdir(), 'lockstep-soak-'))
const problems: string[] = []

function recipe(pictures: string, name: string, queue: string): Recipe {
  const made = recipeOf(pictures, {
    ...{ name, workers: 2, steps, batch: { global: 16, micro: 4 } },
    evaluation: { everySteps: 500, batch: 16 },
    learningRate: { initial: 0.01, schedule: { type: 'steps', at: [Math.floor(steps / 2)], factor: 0.1 } },
  })
  made.run.workers.minimum = 1
  made.run.queue = queue
  made.run.checkpoint = { ...made.run.checkpoint, everySteps: 50, digestEverySteps: 0 }
  return made
}

/** Keys in the queue server. */
async function keysIn(valkey: EmbeddedValkey): Promise<number> {
  const client = await connectQueue(valkey.url)
  try {
    return await client.dbsize()
  } finally {
    client.disconnect()
  }
}

/** The undisturbed training. */
async function undisturbed(pictures: string): Promise<RunSummary> {
  for await (const event of train(recipe(pictures, 'undisturbed', 'embedded'), { base: join(base, 'runs') })) {
    if (event.type === 'summary') return event.summary
  }
  throw new Error('the undisturbed run has no summary')
}

/** The workers of the disturbed run: the first stays, the second is killed over and over. */
class Crowd {
  kills = 0
  readonly #remotes: RemoteWorker[] = []
  #address = ''
  #steady: number | undefined
  #victim: number | undefined
  #timer: NodeJS.Timeout | undefined

  see(event: TrainEvent): void {
    if (event.type === 'started') this.#address = event.address
    if (event.type !== 'workerJoined') return
    if (event.name === 'worker-1') this.#steady = event.pid
    else this.#victim = event.pid
    this.#timer ??= setInterval(() => {
      this.#replace()
    }, KILL_EVERY_MS)
  }

  /** The worker that lives from the first step to the last. */
  get steady(): number {
    return this.#steady ?? 0
  }

  #replace(): void {
    if (this.#victim === undefined || !isAlive(this.#victim)) return
    process.kill(this.#victim, 'SIGKILL')
    this.kills++
    const name = `by-hand-${String(this.kills)}`
    this.#remotes.push(new RemoteWorker({ join: this.#address, name, logFile: join(base, `${name}.log`) }))
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Whether those who joined by hand have ended by themselves. */
  async ended(): Promise<boolean> {
    const all = Promise.all(this.#remotes.map(({ ended }) => ended))
    return (await Promise.race([all, sleep(15_000, 'late')])) !== 'late'
  }
}

async function disturbed(
  pictures: string,
  valkey: EmbeddedValkey,
): Promise<{ summary: RunSummary; looks: [string, Facts][]; kills: number }> {
  const crowd = new Crowd()
  const looks: [string, Facts][] = []
  const look = async (when: string): Promise<void> => {
    looks.push([
      when,
      await factsOf({ worker: crowd.steady, workerLog: join(base, 'runs/disturbed/logs/worker-1.log'), keys: await keysIn(valkey) }),
    ])
  }
  await look('before the start')
  let summary: RunSummary | undefined
  let nextLook = FIRST_LOOK_STEP
  const order = recipe(pictures, 'disturbed', `redis://127.0.0.1:${String(valkey.port)}`)
  for await (const event of train(order, { base: join(base, 'runs') })) {
    crowd.see(event)
    if (event.type === 'summary') summary = event.summary
    if (event.type !== 'step') continue
    if (event.step >= nextLook && event.workers === 2 && event.step < steps - 20) {
      await look(`step ${String(event.step)}`)
      nextLook = event.step + Math.max(100, Math.floor(steps / 8))
    }
    if (event.step === steps - 20) {
      crowd.stop()
      await look(`step ${String(event.step)}`)
    }
  }
  crowd.stop()
  if (!(await crowd.ended())) problems.push('a worker that joined by hand outlives the run')
  if (summary === undefined) throw new Error('the disturbed run has no summary')
  await sleep(500)
  await look('after the end')
  return { summary, looks, kills: crowd.kills }
}

/** SIGKILL to coordinator, workers and queue at once; then a new start. */
async function killedAndStartedAgain(pictures: string): Promise<string[]> {
  const again = recipe(pictures, 'again', 'embedded')
  again.steps = 120
  again.learningRate.schedule = { type: 'constant' }
  await writeFile(join(base, 'again.yaml'), recipeText(again))
  const before = await leftovers()
  let struck: Promise<void> | undefined
  const command = startCommand(['train', 'again.yaml', '--run', 'again', '--json'], base, (line) => {
    const event = JSON.parse(line) as TrainEvent
    if (event.type !== 'step' || event.step < 60 || struck !== undefined) return
    const all = [command.child.pid ?? 0, ...descendantsOf(command.child.pid ?? 0)]
    for (const pid of all) process.kill(pid, 'SIGKILL')
    struck = until(() => !all.some(isAlive))
  })
  await command.ended
  await struck
  const resumed = await startCommand(['resume', 'again', '--json'], base).ended
  if (resumed.code !== 0) problems.push(`the run that was killed does not go on: ${resumed.stderr.trim()}`)
  const after = await leftovers()
  const stayed = after.filter((name) => !before.includes(name))
  const partial = (await readdir(join(base, 'again'), { recursive: true })).filter((name) => name.includes('.partial'))
  return [...stayed, ...partial]
}

/** What may stay behind on the machine: shared memory and processes of ours. */
async function leftovers(): Promise<string[]> {
  return [...(await readdir('/dev/shm')).map((name) => `/dev/shm/${name}`), ...descendantsOf(process.pid).map(String)]
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await sleep(20)
}

const valkey = await EmbeddedValkey.start({ directory: join(base, 'queue'), logFile: join(base, 'queue.log') })
process.env[QUEUE_PASSWORD_VARIABLE] = valkey.password
try {
  await mkdir(join(base, 'runs'))
  const pictures = await drawFolder(join(base, 'pictures'), 40)
  const reference = await undisturbed(pictures)
  console.log(`undisturbed: ${String(steps)} steps in ${reference.wallSeconds.toFixed(0)} s, state ${reference.stateDigest.slice(0, 16)}`)
  const { summary, looks, kills } = await disturbed(pictures, valkey)
  console.log(
    `disturbed: ${String(steps)} steps in ${summary.wallSeconds.toFixed(0)} s, state ${summary.stateDigest.slice(0, 16)}, ${String(kills)} workers killed`,
  )
  if (summary.stateDigest !== reference.stateDigest) problems.push('the state differs from the undisturbed one')
  if (summary.faults.workerLost !== kills)
    problems.push(`${String(summary.faults.workerLost)} losses reported, ${String(kills)} workers killed`)
  console.log(`\n${tableOf(looks).join('\n')}\n`)
  problems.push(...growth(looks))
  const log = await readFile(join(base, 'runs/disturbed/logs/coordinator.log'), 'utf8')
  if (log.includes('MaxListenersExceeded')) problems.push('listeners pile up')
  const stayed = await killedAndStartedAgain(pictures)
  console.log(`after SIGKILL of everything and a new start: ${stayed.length === 0 ? 'nothing is left behind' : stayed.join(', ')}`)
  if (stayed.length > 0) problems.push(`left behind: ${stayed.join(', ')}`)
} finally {
  await valkey.stop()
}
for (const problem of problems) console.log(`PROBLEM: ${problem}`)
console.log(problems.length === 0 ? 'nothing grew, nothing stayed' : `${String(problems.length)} problems; the runs are in ${base}`)
if (problems.length === 0) await rm(base, { recursive: true, force: true })
process.exit(problems.length === 0 ? 0 : 1)
