import { intervalOf, type Interval } from '../../measurement/statistics.js'
import {
  checkPredictions,
  fitCosts,
  fitLine,
  predictHosts,
  type CostModel,
  type CostPoint,
  type HostPrediction,
  type Network,
  type PredictionCheck,
  type StepCosts,
} from './cost-model.js'
import type { SampleTimes, ScalingSample } from './scaling-sample.js'
import { digestStep, type ScalingSettings } from './scaling-plan.js'

/** Everything the report says, as data: report.json. Pure. */

/** Simonyan & Zisserman, section 3.3: "a speedup of 3.75 times" on four GPUs. */
export const PAPER = { workers: 4, speedup: 3.75 } as const

/** Networks that a cluster is predicted on. */
export const NETWORKS: readonly Network[] = [
  { gigabits: 1, delaySeconds: 1e-3 },
  { gigabits: 10, delaySeconds: 2e-4 },
  { gigabits: 25, delaySeconds: 1e-4 },
  { gigabits: 100, delaySeconds: 5e-5 },
]
const HOSTS = [1, 2, 4, 8, 16] as const

/** One count of workers, over the rounds. */
export interface ScalingRow {
  readonly workers: number
  /** Cores that they shared. */
  readonly cores: number
  /** More compute threads than cores. */
  readonly oversubscribed: boolean
  readonly imagesPerSecond: Interval
  readonly cpuSecondsPerImage: Interval
  /** Beside the least count, in the same rounds. */
  readonly speedup: Interval
  /** Speed-up ÷ how many times as many workers. */
  readonly efficiency: Interval
  /** Processor time of an image at the least count ÷ here. */
  readonly cpuEfficiency: Interval
  /** Processor time where time cannot show what the software does: crowded cores, cores of others, cores that nothing was confined to. */
  readonly judgedBy: 'time' | 'processor time'
  /** Mean over the rounds. */
  readonly secondsPerStep: number
  readonly times: SampleTimes
  readonly bytes: { readonly sent: number; readonly received: number }
}

export interface StateCheck {
  /** Updates done. */
  readonly step: number
  /** Different digests with the counts of workers that came to them; one, if all is right. */
  readonly digests: readonly { readonly stateDigest: string; readonly workers: readonly number[]; readonly trainings: number }[]
  readonly same: boolean
}

export interface Machine {
  /** That we may use. */
  readonly cores: number
  /** Whether trainings were confined to theirs. */
  readonly confined: boolean
}

export interface Subject {
  readonly model: string
  readonly inputSize: number
  readonly parameters: number
  readonly globalBatch: number
  readonly leaves: number
  readonly computeThreads: number
}

export interface ScalingReport {
  readonly format: 1
  readonly experiment: 'scaling'
  readonly settings: ScalingSettings
  readonly subject: Subject
  readonly machine: Machine
  readonly rows: readonly ScalingRow[]
  /** Rounds that count, of those run; see {@link roundsThatCount}. */
  readonly rounds: { readonly kept: readonly number[]; readonly disturbed: readonly number[] }
  readonly state: StateCheck
  readonly paper: typeof PAPER
  readonly model: CostModel
  readonly checks: readonly PredictionCheck[]
  /** Images that a host computes a step, whatever their number. */
  readonly hostImages: number
  readonly hosts: readonly HostPrediction[]
  readonly samples: readonly ScalingSample[]
}

export interface Measured {
  readonly settings: ScalingSettings
  readonly subject: Subject
  readonly machine: Machine
  readonly samples: readonly ScalingSample[]
}

export function scalingReport({ settings, subject, machine, samples }: Measured): ScalingReport {
  const rounds = roundsThatCount(samples)
  const kept = samples.filter(({ round }) => rounds.kept.includes(round))
  const shared = rounds.kept.some((round) => rounds.disturbed.includes(round))
  const rows = settings.workers.map((workers) => rowOf(workers, settings, { samples: kept, subject, machine }, shared))
  const points = rows.map((row): CostPoint => ({
    workers: row.workers,
    cores: row.cores,
    cpuSeconds: row.cpuSecondsPerImage.mean * subject.globalBatch,
    seconds: subject.globalBatch / row.imagesPerSecond.mean,
  }))
  const model = fitCosts(points)
  const most = Math.max(...rows.filter(({ oversubscribed }) => !oversubscribed).map(({ workers }) => workers), settings.workers[0] ?? 1)
  // how busy cores were tells of us only where nobody else had them
  const costs = stepCosts(shared ? { ...model, busy: 1 } : model, rows, 1 / most)
  return {
    ...{ format: 1, experiment: 'scaling', settings, subject, machine, rows, rounds },
    state: stateCheck(samples, digestStep(settings)),
    paper: PAPER,
    model,
    checks: checkPredictions(points),
    hostImages: subject.globalBatch / most,
    hosts: HOSTS.flatMap((hosts) => NETWORKS.map((network) => predictHosts(costs, hosts, network))),
    samples,
  }
}

/**
 * A round in which others took more than a little of the machine is set aside for all counts, so that like is compared with like;
 * where fewer than two rounds would be left, all count, and the report says so.
 */
export function roundsThatCount(samples: readonly ScalingSample[]): ScalingReport['rounds'] {
  const all = [...new Set(samples.map(({ round }) => round))].sort((one, other) => one - other)
  const disturbed = all.filter((round) => samples.some((sample) => sample.round === round && sample.disturbed))
  const quiet = all.filter((round) => !disturbed.includes(round))
  return { kept: quiet.length >= 2 ? quiet : all, disturbed }
}

/** @param shared others took more than a little of the machine in rounds that count */
function rowOf(
  workers: number,
  settings: ScalingSettings,
  { samples, subject, machine }: Omit<Measured, 'settings'>,
  shared: boolean,
): ScalingRow {
  const base = settings.workers[0] ?? 1
  const own = samples.filter((sample) => sample.workers === workers)
  const beside = own.flatMap((sample) => {
    const first = samples.find(({ round, workers: count }) => round === sample.round && count === base)
    return first === undefined ? [] : [[sample, first] as const]
  })
  const rate = ({ images, seconds }: ScalingSample): number => images / seconds
  const cpu = ({ images, cpuSeconds }: ScalingSample): number => cpuSeconds / images
  const wanted = workers * subject.computeThreads
  const oversubscribed = wanted > machine.cores
  const mean = (of: (sample: ScalingSample) => number): number => own.reduce((sum, sample) => sum + of(sample), 0) / own.length
  const time = (key: keyof SampleTimes): number => mean(({ times }) => times[key])
  return {
    ...{ workers, oversubscribed },
    cores: machine.confined ? Math.min(wanted, machine.cores) : machine.cores,
    imagesPerSecond: intervalOf(own.map(rate)),
    cpuSecondsPerImage: intervalOf(own.map(cpu)),
    speedup: intervalOf(beside.map(([here, first]) => rate(here) / rate(first))),
    efficiency: intervalOf(beside.map(([here, first]) => ((rate(here) / rate(first)) * base) / workers)),
    cpuEfficiency: intervalOf(beside.map(([here, first]) => cpu(first) / cpu(here))),
    judgedBy: oversubscribed || shared || !machine.confined ? 'processor time' : 'time',
    secondsPerStep: mean(({ seconds }) => seconds / settings.steps),
    times: {
      ...{ input: time('input'), compute: time('compute'), send: time('send') },
      ...{ receive: time('receive'), wait: time('wait'), reduce: time('reduce') },
    },
    bytes: { sent: mean(({ bytes }) => bytes.sent), received: mean(({ bytes }) => bytes.received) },
  }
}

/** @param share of the global batch, of one host */
function stepCosts(model: CostModel, rows: readonly ScalingRow[], share: number): StepCosts {
  const perWorker = (key: 'sent' | 'received'): number =>
    rows.reduce((sum, { bytes, workers }) => sum + bytes[key] / workers, 0) / rows.length
  return {
    ...{ model, share, bytesSent: perWorker('sent'), bytesReceived: perWorker('received') },
    reduce: fitLine(rows.map(({ workers, times }) => [workers, times.reduce])),
  }
}

/** All trainings came to one state, whatever their number of workers: what nobody else can show. */
export function stateCheck(samples: readonly Pick<ScalingSample, 'stateDigest' | 'workers'>[], step: number): StateCheck {
  const digests = [...new Set(samples.map(({ stateDigest }) => stateDigest))].map((stateDigest) => {
    const same = samples.filter((sample) => sample.stateDigest === stateDigest)
    const workers = [...new Set(same.map((sample) => sample.workers))].sort((one, other) => one - other)
    return { stateDigest, workers, trainings: same.length }
  })
  return { step, digests, same: digests.length === 1 }
}
