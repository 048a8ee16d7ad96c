import { summaryOf } from '@lockstep/cli/measurement/statistics.js'

/** Rounds run at most, for each that is wanted: those that were disturbed are set aside. */
const MOST_ROUNDS_FACTOR = 2

/** One of those that are measured in turn. */
export interface Entrant<Sample> {
  readonly name: string
  /** @param round 1, 2, … */
  readonly sample: (round: number) => Promise<Sample>
  /** The figures of a sample, for a line of progress. */
  readonly words: (sample: Sample) => string
}

export interface QuietRounds<Sample> {
  /** By round, then in the order of the entrants. */
  readonly kept: readonly (readonly Sample[])[]
  readonly run: number
}

/**
 * Measures in turn, A B A B …, so that a machine that grows slower does so for all. A round in which any sample was disturbed is set
 * aside for all, since medians compare like with like. Tells of every sample as it comes.
 */
export async function quietRounds<Sample extends { readonly steal: number; readonly foreign: number; readonly disturbed: boolean }>(
  entrants: readonly Entrant<Sample>[],
  rounds: number,
): Promise<QuietRounds<Sample>> {
  if (!(rounds >= 1)) throw new Error('the number of rounds, the first argument, is a number from 1 on')
  const kept: Sample[][] = []
  let run = 0
  while (kept.length < rounds && run < rounds * MOST_ROUNDS_FACTOR) {
    run += 1
    const samples: Sample[] = []
    for (const { name, sample, words } of entrants) {
      const taken = await sample(run)
      samples.push(taken)
      console.log(`  round ${String(run)}, ${name}: ${words(taken)} (${disturbanceWords(taken)})`)
    }
    if (samples.every(({ disturbed }) => !disturbed)) kept.push(samples)
  }
  console.log(`  ${String(kept.length)} of ${String(run)} rounds kept; a round in which either sample was disturbed is set aside`)
  return { kept, run }
}

function disturbanceWords({ steal, foreign, disturbed }: { steal: number; foreign: number; disturbed: boolean }): string {
  return `stolen ${(steal * 100).toFixed(1)} %, others ${(foreign * 100).toFixed(1)} %${disturbed ? ', disturbed' : ''}`
}

/** Prints median and quartiles. @returns the median, NaN of nothing */
export function reportMedian(name: string, values: readonly number[], unit: string, digits: number): number {
  const { median, spread, samples } = summaryOf(values)
  const [lower, upper] = spread.map((value) => value.toFixed(digits))
  console.log(
    `  ${name.padEnd(28)} median ${median.toFixed(digits)} ${unit}, quartiles ${lower ?? '–'} … ${upper ?? '–'}, ${String(samples)} samples`,
  )
  return median
}

export interface Bound {
  readonly atLeast?: number
  readonly atMost?: number
}

/** Prints what it came to beside what was wanted. @param value NaN: every round was disturbed @returns whether it is as wanted */
export function reportVerdict(what: string, value: number, unit: string, digits: number, { atLeast, atMost }: Bound): boolean {
  const wanted = atLeast === undefined ? `at most ${String(atMost)}` : `at least ${String(atLeast)}`
  if (Number.isNaN(value)) {
    console.log(`  ${what}: cannot be told: every round was disturbed; stop what else runs here (${wanted} wanted)`)
    return false
  }
  const holds = value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity)
  console.log(`  ${what}: ${value.toFixed(digits)} ${unit} (${wanted} wanted): ${holds ? 'holds' : 'does not hold'}`)
  return holds
}
