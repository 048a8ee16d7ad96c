import { cpus, loadavg } from 'node:os'
import { summaryOf } from '@lockstep/cli/measurement/statistics.js'
import { ExchangeSetting, type ExchangeSample, type ProcessMemory } from './method/exchange-setting.js'

/**
 * What distance costs the exchange: two workers' gradients out, averaged, applied, the new weights in, both directions at once, bodies
 * inline, by a relay without delay and, in turn, by relays with a round trip of 2 and of 20 ms.
 * `npm run bench -- network [ROUNDS [FLOATS [MEGABYTES_PER_SECOND [SLICES]]]]`; 0 MB/s: no limit but the machine's.
 */

const [roundsText = '7', floatsText = '32000000', rateText = '0', slicesText = '1'] = process.argv.slice(2)
const ROUNDS = Number(roundsText)
const FLOATS = Number(floatsText)
const MEGABYTES_PER_SECOND = Number(rateText)
const SLICES = Number(slicesText)
/** Rounds in all, at most, for those that are set aside. */
const MOST_ROUNDS_FACTOR = 4
/** The first ones meet fresh memory and code that is not compiled. */
const WARM_UP_ROUNDS = 2
/** Round trips, and of the speed without delay the least that is wanted. */
const WAYS = [
  { roundTripMs: 0, atLeast: undefined },
  { roundTripMs: 2, atLeast: 0.8 },
  { roundTripMs: 20, atLeast: 0.4 },
] as const
const WORKERS = 2
const MEGABYTES_A_DIRECTION = (FLOATS * Float32Array.BYTES_PER_ELEMENT * WORKERS) / 1e6

type Round = readonly ExchangeSample[]

const nameOf = (way: number): string => `${String(WAYS[way]?.roundTripMs).padStart(2)} ms`

const shown = ({ ms, sentMs, receivedMs, relayCpuSeconds, ownCpuSeconds, steal, foreign, disturbed }: ExchangeSample): string =>
  `${ms.toFixed(0)} ms (sent ${sentMs.toFixed(0)}, received ${receivedMs.toFixed(0)}), CPU ${ownCpuSeconds.toFixed(2)} s and the relay's ` +
  `${relayCpuSeconds.toFixed(2)} s (stolen ${(steal * 100).toFixed(1)} %, others ${(foreign * 100).toFixed(1)} %${disturbed ? ', disturbed' : ''})`

/** One sample a way; each way in turn is the first. */
async function roundOf(setting: ExchangeSetting, number: number): Promise<Round> {
  const samples: ExchangeSample[] = []
  for (let turn = 0; turn < WAYS.length; turn++) {
    const way = (number + turn) % WAYS.length
    const sample = await setting.step(way)
    console.log(`  round ${String(number)}, ${nameOf(way)}: ${shown(sample)}`)
    samples[way] = sample
  }
  return samples
}

const column = (rounds: readonly Round[], way: number, value: (sample: ExchangeSample) => number): number[] =>
  rounds.flatMap((round) => {
    const sample = round[way]
    return sample === undefined ? [] : [value(sample)]
  })

function line(values: readonly number[], unit: string, digits: number): string {
  const { median, spread } = summaryOf(values)
  const [lower, upper] = spread.map((value) => value.toFixed(digits))
  return `${median.toFixed(digits)} ${unit} (${lower ?? '–'} … ${upper ?? '–'})`
}

/** Speed of a way within each round, the way without delay being 1. */
const ratiosOf = (rounds: readonly Round[], way: number): number[] =>
  rounds.map((round) => (round[0]?.ms ?? Number.NaN) / (round[way]?.ms ?? Number.NaN))

function report(rounds: readonly Round[]): void {
  for (const way of WAYS.keys()) {
    const speed = column(rounds, way, ({ ms }) => (MEGABYTES_A_DIRECTION / ms) * 1000)
    console.log(
      `  ${nameOf(way)}: ${line(
        column(rounds, way, ({ ms }) => ms),
        'ms',
        0,
      )}, ${line(speed, 'MB/s each direction', 0)}`,
    )
    const own = column(rounds, way, ({ ownCpuSeconds }) => ownCpuSeconds)
    const relay = column(rounds, way, ({ relayCpuSeconds }) => relayCpuSeconds)
    console.log(`         CPU: averager and workers ${line(own, 's', 2)}, relay ${line(relay, 's', 2)}`)
    if (way > 0) console.log(`         speed beside 0 ms, within rounds: ${line(ratiosOf(rounds, way), '×', 3)}`)
  }
}

function reportMemory(before: readonly ProcessMemory[], after: readonly ProcessMemory[]): void {
  for (const { name, residentMib, peakMib } of after) {
    const grown = residentMib - (before.find((one) => one.name === name)?.residentMib ?? Number.NaN)
    const sign = grown < 0 ? '−' : '+'
    console.log(
      `  memory of ${name}: peak ${peakMib.toFixed(0)} MiB, now ${residentMib.toFixed(0)} MiB, ${sign}${Math.abs(grown).toFixed(0)} MiB since the warm-up`,
    )
  }
}

/** @returns whether every way is fast enough */
function conclude(kept: readonly Round[]): boolean {
  const verdicts = [...WAYS.entries()].map(([way, { roundTripMs, atLeast }]) => {
    if (atLeast === undefined) return true
    const ratio = summaryOf(ratiosOf(kept, way)).median
    const verdict = Number.isNaN(ratio) ? 'cannot be told: every round was disturbed; stop what else runs here' : `${ratio.toFixed(3)} ×`
    console.log(`  ${String(roundTripMs)} ms beside 0 ms: ${verdict} (at least ${String(atLeast)} wanted)`)
    return ratio >= atLeast
  })
  return verdicts.every(Boolean)
}

const limit = MEGABYTES_PER_SECOND === 0 ? 'no limit' : `${String(MEGABYTES_PER_SECOND)} MB/s a worker and direction`
console.log(
  `${String(FLOATS)} floats, ${String(WORKERS)} workers, ${String(SLICES)} ${SLICES === 1 ? 'slice' : 'slices'}, ${limit};` +
    ` ${String(cpus().length)} processors, load ${(loadavg()[0] ?? 0).toFixed(1)}`,
)
const setting = await ExchangeSetting.start({
  ...{ floats: FLOATS, slices: SLICES, megabytesPerSecond: MEGABYTES_PER_SECOND },
  roundTripsMs: WAYS.map(({ roundTripMs }) => roundTripMs),
})
try {
  for (const [way, { roundTripMs }] of WAYS.entries())
    console.log(`  relay of ${nameOf(way)}: one byte there and back takes ${(await setting.echoMs(roundTripMs)).toFixed(2)} ms`)
  for (let round = 1; round <= WARM_UP_ROUNDS; round++) for (const way of WAYS.keys()) await setting.step(way)
  await setting.forgetPeaks()
  const before = await setting.memory()
  const [all, kept]: [Round[], Round[]] = [[], []]
  while (kept.length < ROUNDS && all.length < ROUNDS * MOST_ROUNDS_FACTOR) {
    const round = await roundOf(setting, all.length + 1)
    all.push(round)
    if (!round.some(({ disturbed }) => disturbed)) kept.push(round)
  }
  await setting.compareWeights()
  const after = await setting.memory()
  console.log(`  ${String(kept.length)} of ${String(all.length)} rounds kept; a round in which a sample was disturbed is set aside`)
  if (kept.length > 0) report(kept)
  if (kept.length < all.length) {
    console.log('  of all rounds, the disturbed ones too:')
    report(all)
  }
  reportMemory(before, after)
  process.exitCode = conclude(kept) ? 0 : 1
} finally {
  await setting.close()
}
