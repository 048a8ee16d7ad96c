import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { metricsOf } from '../support/training.js'
import { DisturbedRun } from './disturbed-run.js'
import type { Fault } from './fault.js'
import type { Ground, Reference } from './ground.js'
import { momentOf, type Window } from './moment.js'

/** One repetition of one fault. */
export interface Trial {
  readonly fault: string
  readonly repetition: number
  readonly seed: number
  readonly passed: boolean
  /** Whether every step has the undisturbed run's digest; undefined when the run did not get to its end. */
  readonly digestsEqual: boolean | undefined
  /** The longest time without a committed step from the fault on. */
  readonly pauseSeconds: number
  /** What was seen, in a few words. */
  readonly seen: string
  /** What went wrong, with where to look; empty when nothing did. */
  readonly failure: readonly string[]
}

/** Early enough that most of a run comes after it, late enough that a checkpoint may be there. */
const WINDOW: Window = { firstStep: 5, lastStep: 18, mostDelayMs: 250 }
const LOG_LINES = 25

/** Runs a training, disturbs it at the seeded moment, and compares every step's digest with the undisturbed ones. */
export async function runTrial(fault: Fault, ground: Ground, repetition: number, seed: number): Promise<Trial> {
  const reference = await ground.reference(fault.length)
  const run = new DisturbedRun(ground, reference.steps, `${fault.name.replaceAll(/[^a-z0-9]+/gi, '-')}-${String(repetition)}`)
  const moment = momentOf(fault.name, repetition, seed, WINDOW)
  const failure: string[] = []
  let seen = ''
  let differences: string[] | undefined
  try {
    await (fault.start === undefined ? run.train() : fault.start(run))
    await run.reached(moment.step)
    await sleep(moment.delayMs)
    run.struckMs = performance.now()
    seen = await fault.disturb(run, moment)
    await run.goodEnd()
    differences = await differencesOf(run, reference)
    failure.push(...differences)
    await fault.expected(run)
  } catch (error) {
    failure.push(error instanceof Error ? error.message : String(error))
  }
  if (failure.length > 0) {
    failure.push(
      `seed ${String(seed)}, repetition ${String(repetition)}: after step ${String(moment.step)} and ${String(moment.delayMs)} ms`,
    )
    failure.push(`run kept in ${run.directory}; the end of its coordinator's log:`, ...run.logTail(LOG_LINES))
  }
  await run.close()
  if (failure.length === 0) await rm(run.directory, { recursive: true, force: true })
  const passed = failure.length === 0
  const digestsEqual = differences === undefined ? undefined : differences.length === 0
  return { fault: fault.name, repetition, seed, passed, digestsEqual, pauseSeconds: run.longestPauseSeconds, seen, failure }
}

/** In words, where a run's states differ from the undisturbed ones. */
async function differencesOf(run: DisturbedRun, reference: Reference): Promise<string[]> {
  const { digests } = await metricsOf(run.directory)
  const steps = Array.from({ length: reference.steps }, (_, index) => index + 1)
  const parted = steps.find((step) => digests.get(step) !== reference.digests.get(step))
  const differences: string[] = []
  if (parted !== undefined) {
    const [ours = 'none', theirs = 'none'] = [digests, reference.digests].map((all) => all.get(parted)?.slice(0, 12))
    differences.push(`the digests part at step ${String(parted)}: ${ours}, undisturbed ${theirs}`)
  }
  if (digests.size !== steps.length) differences.push(`metrics.jsonl has ${String(digests.size)} steps instead of ${String(steps.length)}`)
  if (run.summary.stateDigest !== reference.stateDigest) differences.push('the last state differs from the undisturbed one')
  return differences
}
