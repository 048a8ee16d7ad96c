import { parseArgs } from 'node:util'
import { MUTATIONS, type Mutation } from './mutation.js'
import { describeFault, scenarioOf, type Scenario } from './scenario.js'
import { shrink } from './shrink.js'
import { simulate } from './simulation.js'

/**
 * Simulates many disturbed histories of a run: `--seeds N` the seeds 0 … N − 1 (or from `--from`), `--seed N` one,
 * printed whole. A failure is printed as the shortest history found. `--mutation NAME` plants a bug.
 */
const USAGE = `usage: node tests/dist/simulation/main.js [--seeds 10000] [--from 0] | --seed N   [--mutation ${MUTATIONS.join('|')}]`
/** Failures that are shrunk; more of them are only counted. */
const SHOWN = 3

interface Options {
  readonly seed: number | undefined
  readonly from: number
  readonly seeds: number
  readonly mutation: Mutation | undefined
}

function optionsOf(words: string[]): Options {
  const text = { type: 'string' } as const
  const { values } = parseArgs({ args: words, options: { seed: text, seeds: text, from: text, mutation: text } })
  const whole = (value: string | undefined, fallback: number): number => {
    const number = value === undefined ? fallback : Number(value)
    if (!Number.isInteger(number) || number < 0) throw new Error(`${String(value)} is not a whole number`)
    return number
  }
  const mutation = MUTATIONS.find((name) => name === values.mutation)
  if (values.mutation !== undefined && mutation === undefined) throw new Error(`there is no mutation ${values.mutation}`)
  return {
    seed: values.seed === undefined ? undefined : whole(values.seed, 0),
    from: whole(values.from, 0),
    seeds: whole(values.seeds, 10_000),
    mutation,
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** One seed: its history, or the shortest one that fails in the same way. @returns whether it holds */
function replay(seed: number, mutation: Mutation | undefined): boolean {
  const scenario = scenarioOf(seed)
  const { failure, notes, virtualMs, events } = simulate(scenario, { mutation, noted: true })
  if (failure === undefined) {
    describe(scenario).forEach(print)
    notes.forEach(print)
    print(`seed ${String(seed)} holds: ${String(events)} events in ${(virtualMs / 1000).toFixed(1)} virtual seconds`)
    return true
  }
  printFailure(seed, mutation)
  return false
}

function printFailure(seed: number, mutation: Mutation | undefined): void {
  const { scenario, outcome, simulations } = shrink(scenarioOf(seed), mutation)
  print(`\nseed ${String(seed)} fails. The shortest history found, in ${String(simulations)} simulations:`)
  describe(scenario).forEach(print)
  outcome.notes.forEach(print)
  print(`  >>> ${outcome.failure?.message ?? 'it does not fail when it is written down'}`)
  print(`again: node tests/dist/simulation/main.js --seed ${String(seed)}${mutation === undefined ? '' : ` --mutation ${mutation}`}\n`)
}

function describe({ plan, nonFiniteSteps, slices, workers, faults, network }: Scenario): string[] {
  const { learningRate, ...counts } = plan
  return [
    `plan: ${JSON.stringify(counts)}, rate ${JSON.stringify(learningRate.schedule)}`,
    `chunks of each slice: ${slices.join(', ')}; messages take ${String(network.leastMs)} to ${String(network.mostMs)} ms${network.spikes > 0 ? `, at times ${String(network.spikeMs)}` : ''}`,
    ...(nonFiniteSteps.length === 0 ? [] : [`not finite: the updates of steps ${nonFiniteSteps.join(', ')}`]),
    ...workers.map(
      ({ joinsAtMs, leafMs, local, impostor }, index) =>
        `worker ${String(index)}: from ${joinsAtMs.toFixed(0)} ms, ${leafMs.toFixed(0)} ms a leaf${local ? ', local' : ''}${impostor === undefined ? '' : `, with another ${impostor}`}`,
    ),
    ...faults.map((fault) => `fault: ${describeFault(fault)}`),
  ]
}

function sweep({ from, seeds, mutation }: Options): boolean {
  const startMs = performance.now()
  const counts = new Map<string, number>()
  const failing: number[] = []
  let [events, virtualMs, shownMs] = [0, 0, startMs]
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = simulate(scenarioOf(seed), { mutation })
    events += outcome.events
    virtualMs += outcome.virtualMs
    for (const [what, count] of outcome.counts) counts.set(what, (counts.get(what) ?? 0) + count)
    if (outcome.failure !== undefined) {
      failing.push(seed)
      if (failing.length <= SHOWN) printFailure(seed, mutation)
    }
    const nowMs = performance.now()
    if (nowMs - shownMs < 5_000) continue
    shownMs = nowMs
    print(
      `${String(seed - from + 1)} of ${String(seeds)} seeds, ${String(failing.length)} failing, ${((nowMs - startMs) / 1000).toFixed(0)} s`,
    )
  }
  for (const [what, count] of [...counts].sort(([a], [b]) => a.localeCompare(b))) print(`${String(count).padStart(10)}  ${what}`)
  const seconds = (performance.now() - startMs) / 1000
  print(
    `${String(seeds)} seeds in ${seconds.toFixed(1)} s: ${String(events)} events in ${(virtualMs / 3_600_000).toFixed(1)} virtual hours; ${failing.length === 0 ? 'all hold' : `${String(failing.length)} fail: ${failing.slice(0, 20).join(' ')}`}`,
  )
  return failing.length === 0
}

try {
  const options = optionsOf(process.argv.slice(2))
  const holds = options.seed === undefined ? sweep(options) : replay(options.seed, options.mutation)
  process.exitCode = holds ? 0 : 1
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${USAGE}\n`)
  process.exitCode = 2
}
