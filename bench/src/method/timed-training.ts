import { rm } from 'node:fs/promises'
import { allowedCores } from '@lockstep/cli/measurement/allowed-cores.js'
import { readInstant, windowBetween, type Instant, type Window } from '@lockstep/cli/measurement/foreign-load.js'
import { TrainingProcess } from '@lockstep/cli/measurement/training-process.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

export interface TimedSteps {
  /** The first ones meet fresh memory and unknown speeds. */
  readonly warmUpSteps: number
  readonly steps: number
}

/** What the measured steps of a training took; its processes and the measuring one together. */
export interface TimedTraining extends Window {
  /** Those that are trained. */
  readonly parameters: number
  /** Of the run, whole until the next training in the same base. */
  readonly directory: string
}

/**
 * One training from its start, measured between the ends of two of its steps; when this is back, it is over.
 * @param recipe of more steps than are measured: it is stopped before its end
 * @param base folder of the run; what a former one left there goes
 * @param cores processors that it and everything it starts are confined to
 * @throws Error when it ends before it could be measured; what the training threw
 */
export async function timeTraining(
  recipe: Recipe,
  base: string,
  cores: readonly number[],
  { warmUpSteps, steps }: TimedSteps,
): Promise<TimedTraining> {
  await rm(base, { recursive: true, force: true })
  const last = warmUpSteps + steps
  const training = await TrainingProcess.start(recipe, base, cores)
  const instants: Instant[] = []
  let [parameters, directory] = [0, '']
  try {
    for await (const event of training.events()) {
      if (event.type === 'started') ({ parameters, directory } = event)
      if (event.type !== 'step') continue
      if (event.step === warmUpSteps || event.step === last) instants.push(await readInstant())
      if (event.step === last) void training.stop()
    }
  } finally {
    await training.stop()
  }
  const [from, to] = instants
  if (from === undefined || to === undefined) throw new Error('the training ended before it could be measured')
  return { ...windowBetween(from, to), parameters, directory }
}

/** @returns the first processors that we may use, this many @throws Error when there are fewer */
export async function coresFor(count: number): Promise<number[]> {
  const cores = (await allowedCores()).slice(0, count)
  if (cores.length < count) throw new Error(`this measurement needs ${String(count)} processors`)
  return cores
}
