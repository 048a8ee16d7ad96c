import { hostname } from 'node:os'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { styled } from '../terminal/output.js'
import type { TrainingOutcome } from '../training/narrated-training.js'
import { followTraining } from './followed-training.js'
import type { Narrator } from '../terminal/narrator.js'

/**
 * The last act: the same thirty steps, dropout and every augmentation on, once with one worker and once with three of
 * which one is killed on the way. The state digest is a SHA-256 over weights, velocity, schedule and step.
 */

/** The worker is killed after this step, or after the next one at which all three are there. */
const KILL_AFTER_STEP = 10
/** Three workers are asked for; one that starts slowly is waited for until here, then one of those present must do. */
const KILL_AT_LATEST = 20
const WORKERS = 3

export interface ProofOptions {
  readonly seed: number
  /** Of a trained VGG-A: from random weights thirty steps would hardly move. */
  readonly checkpoint: string
  /** Folder of runs. */
  readonly base: string
  readonly signal?: AbortSignal | undefined
}

export interface Proof {
  readonly alone: string
  readonly disturbed: string
  /** Both digests, and every step's, are the same, and a worker was killed and missed. */
  readonly identical: boolean
  readonly directories: readonly string[]
}

/** What happens to one of several workers while they train. */
class Killing {
  readonly #pids = new Map<string, number>()
  readonly #narrator: Narrator
  victim: { readonly name: string; readonly pid: number; readonly step: number } | undefined
  missed = false

  constructor(narrator: Narrator) {
    this.#narrator = narrator
  }

  see(event: TrainEvent): void {
    if (event.type === 'workerJoined' && event.host === hostname()) this.#pids.set(event.name, event.pid)
    if (event.type === 'step') this.#killAt(event.step)
    if (event.type === 'workerLost' && event.name === this.victim?.name) {
      this.missed = true
      this.#narrator.line(`   ${event.name} lost (${event.reason}): its part of the step goes to the others`)
    }
  }

  #killAt(step: number): void {
    const enough = this.#pids.size === WORKERS || (step >= KILL_AT_LATEST && this.#pids.size > 1)
    const [name, pid] = [...this.#pids].at(-1) ?? []
    if (this.victim !== undefined || step < KILL_AFTER_STEP || !enough || name === undefined || pid === undefined) return
    process.kill(pid, 'SIGKILL')
    this.victim = { name, pid, step }
    this.#narrator.line(styled('yellow', `   step ${String(step)}: kill -9 ${String(pid)} (${name})`))
  }
}

/**
 * Trains twice and compares.
 * @throws TrainError as `train` does
 */
export async function proveExactness(options: ProofOptions, narrator: Narrator): Promise<Proof> {
  const { base, signal } = options
  const order = (name: string, workers: number): { recipe: string; set: string[]; base: string; signal: AbortSignal | undefined } => ({
    recipe: 'digits-exactness',
    set: [
      `name=quickstart-${name}`,
      `seed=${String(options.seed)}`,
      `initialization.from=${options.checkpoint}`,
      `run.workers.count=${String(workers)}`,
    ],
    base,
    signal,
  })
  const alone = await followTraining(order('one-worker', 1), narrator)
  narrator.line('   one worker, undisturbed')
  narrator.line(`     stateDigest ${alone.summary.stateDigest}`)
  const killing = new Killing(narrator)
  const disturbed = await followTraining({ ...order('three-workers', WORKERS), onEvent: (event) => killing.see(event) }, narrator)
  narrator.line('   three workers, one of them killed')
  narrator.line(`     stateDigest ${disturbed.summary.stateDigest}`)
  const same = sameResult(alone, disturbed)
  narrator.line(same ? `   ${styled('green', 'identical')}` : `   ${styled('red', 'DIFFERENT')}`)
  if (!killing.missed) narrator.line(styled('red', '   but no worker was lost on the way, so this proves nothing: start it again'))
  return {
    alone: alone.summary.stateDigest,
    disturbed: disturbed.summary.stateDigest,
    identical: same && killing.missed,
    directories: [alone.directory, disturbed.directory],
  }
}

/** The same digest at the end and after every step; and they change, or they would tell nothing. */
export function sameResult(
  one: Pick<TrainingOutcome, 'summary' | 'digests'>,
  other: Pick<TrainingOutcome, 'summary' | 'digests'>,
): boolean {
  const steps = [...one.digests.keys()]
  return (
    one.summary.stateDigest === other.summary.stateDigest &&
    one.digests.size === other.digests.size &&
    steps.every((step) => one.digests.get(step) === other.digests.get(step)) &&
    new Set(one.digests.values()).size === one.digests.size
  )
}
