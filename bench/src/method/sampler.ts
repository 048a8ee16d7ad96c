import { interferenceBetween, isDisturbed, readCounters } from '@lockstep/cli/measurement/interference.js'
import { summaryOf, type Summary } from '@lockstep/cli/measurement/statistics.js'

/** Something that can be measured again and again, each time anew. */
export interface Contender {
  readonly name: string
  /** One measurement, in whatever unit; what it does is all that the sampler looks at the machine for. */
  sample(): Promise<number>
}

export interface Comparison {
  readonly results: readonly { readonly name: string; readonly summary: Summary; readonly setAside: number }[]
  /** Rounds that stayed, of those run. */
  readonly rounds: readonly [kept: number, run: number]
}

export interface SamplingOptions {
  /** Rounds wanted without disturbance. */
  readonly rounds: number
  /** Rounds after which it ends at the latest. */
  readonly mostRounds: number
  readonly onRound?: (round: number, values: readonly number[], disturbed: boolean) => void
}

/**
 * Measures contenders in turn, A B A B …, so that a machine that grows slower does so for all of them. A round in which the machine
 * was stolen from, or somebody waited for a processor, is set aside for all of them (medians compare like with like), and counted.
 */
export async function compare(contenders: readonly Contender[], { rounds, mostRounds, onRound }: SamplingOptions): Promise<Comparison> {
  const kept: number[][] = contenders.map(() => [])
  const setAside = contenders.map(() => 0)
  let run = 0
  while (run < mostRounds && (kept[0]?.length ?? 0) < rounds) {
    run += 1
    const values: number[] = []
    let disturbed = false
    for (const [index, contender] of contenders.entries()) {
      const before = await readCounters()
      const startMs = performance.now()
      values.push(await contender.sample())
      if (isDisturbed(interferenceBetween(before, await readCounters(), (performance.now() - startMs) / 1000))) {
        disturbed = true
        setAside[index] = (setAside[index] ?? 0) + 1
      }
    }
    if (!disturbed) values.forEach((value, index) => kept[index]?.push(value))
    onRound?.(run, values, disturbed)
  }
  const results = contenders.map(({ name }, index) => ({ name, summary: summaryOf(kept[index] ?? []), setAside: setAside[index] ?? 0 }))
  return { results, rounds: [kept[0]?.length ?? 0, run] }
}

/** Lines of a table: median with quartiles, and what was set aside. */
export function comparisonLines({ results, rounds: [kept, run] }: Comparison, unit: string): string[] {
  const width = Math.max(...results.map(({ name }) => name.length))
  const lines = results.map(({ name, summary: { median, spread }, setAside }) => {
    const [lower, upper] = spread.map((value) => value.toFixed(0))
    const range = `quartiles ${lower ?? '–'} … ${upper ?? '–'}`
    return `  ${name.padEnd(width)}  median ${median.toFixed(0)} ${unit}, ${range}, ${String(setAside)} samples disturbed`
  })
  return [...lines, `  ${String(kept)} of ${String(run)} rounds kept; a round in which either sample was disturbed is set aside`]
}
