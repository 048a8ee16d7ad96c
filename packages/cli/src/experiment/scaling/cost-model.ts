/**
 * What a step costs with any number of workers, fitted on what was measured. Pure.
 *
 * The processor time of a step is C(n) = a + b·n: work that the batch brings whoever does it, and what every worker more adds
 * (its copy of the weights, its gradient on the way, its part of the sum). Confined to p cores it takes T(n) = C(n) / (p·u), where u
 * is the share of their time that cores are busy. Both hold with more workers than cores, too.
 */

export interface CostPoint {
  readonly workers: number
  /** Cores that were there for them. */
  readonly cores: number
  /** Of a step. */
  readonly cpuSeconds: number
  readonly seconds: number
}

/** y = fixed + perWorker · n. */
export interface Line {
  readonly fixed: number
  readonly perWorker: number
}

export interface CostModel {
  readonly cpu: Line
  /** u. */
  readonly busy: number
}

/** Least squares, neither part below zero; the mean of one point. */
export function fitLine(points: readonly (readonly [workers: number, value: number])[]): Line {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const [n, y] = [mean(points.map(([workers]) => workers)), mean(points.map(([, value]) => value))]
  const variance = points.reduce((sum, [workers]) => sum + (workers - n) ** 2, 0)
  const covariance = points.reduce((sum, [workers, value]) => sum + (workers - n) * (value - y), 0)
  if (variance === 0 || covariance <= 0) return { fixed: y, perWorker: 0 }
  const slope = covariance / variance
  if (y - slope * n >= 0) return { fixed: y - slope * n, perWorker: slope }
  const squares = points.reduce((sum, [workers]) => sum + workers ** 2, 0)
  return { fixed: 0, perWorker: points.reduce((sum, [workers, value]) => sum + workers * value, 0) / squares }
}

/** @param points at least one */
export function fitCosts(points: readonly CostPoint[]): CostModel {
  const busy = points.map(({ cpuSeconds, cores, seconds }) => cpuSeconds / (cores * seconds))
  return {
    cpu: fitLine(points.map(({ workers, cpuSeconds }) => [workers, cpuSeconds])),
    busy: busy.reduce((sum, share) => sum + share, 0) / busy.length,
  }
}

/** Seconds of a step. */
export function predictSeconds({ cpu, busy }: CostModel, workers: number, cores: number): number {
  return (cpu.fixed + cpu.perWorker * workers) / (cores * busy)
}

export interface PredictionCheck {
  readonly workers: number
  /** The counts that the prediction knew of. */
  readonly from: readonly number[]
  readonly predictedSeconds: number
  readonly measuredSeconds: number
  /** predicted / measured − 1. */
  readonly error: number
}

/** Every count predicted from all the others. Empty where there is only one. */
export function checkPredictions(points: readonly CostPoint[]): PredictionCheck[] {
  if (points.length < 2) return []
  return points.map((point) => {
    const others = points.filter((other) => other !== point)
    const predictedSeconds = predictSeconds(fitCosts(others), point.workers, point.cores)
    return {
      workers: point.workers,
      from: others.map(({ workers }) => workers),
      predictedSeconds,
      measuredSeconds: point.seconds,
      error: predictedSeconds / point.seconds - 1,
    }
  })
}

export interface Network {
  readonly gigabits: number
  /** There and back. */
  readonly delaySeconds: number
}

/** What a cluster's step is made of, as measured on one machine. Seconds and bytes are those of a step. */
export interface StepCosts {
  readonly model: CostModel
  /** Of the averager. */
  readonly reduce: Line
  /** Share of the global batch that a host computes. */
  readonly share: number
  /** Of one worker. */
  readonly bytesSent: number
  readonly bytesReceived: number
}

export interface HostPrediction {
  readonly hosts: number
  readonly network: Network
  /** Seconds of a step when nothing overlaps, and when the exchange vanishes behind the computation as far as it can. */
  readonly apartSeconds: number
  readonly overlappedSeconds: number
  /** Seconds of one host's step ÷ those. */
  readonly apartEfficiency: number
  readonly overlappedEfficiency: number
}

/**
 * A worker a host, each on its own cores, the averager on one of them with one line for all: every other host's gradients come in
 * there and its weights go out, n − 1 times both. The batch grows with the hosts, a host's share stays.
 */
export function predictHosts(costs: StepCosts, hosts: number, network: Network): HostPrediction {
  const parts = hostParts(costs, hosts, network)
  const alone = hostParts(costs, 1, network)
  const [apartSeconds, overlappedSeconds] = [apartOf(parts), overlappedOf(parts)]
  return {
    ...{ hosts, network, apartSeconds, overlappedSeconds },
    apartEfficiency: apartOf(alone) / apartSeconds,
    overlappedEfficiency: overlappedOf(alone) / overlappedSeconds,
  }
}

interface HostParts {
  readonly worker: number
  readonly averager: number
  readonly incoming: number
  readonly outgoing: number
  readonly delay: number
}

function hostParts(
  { model, reduce, share, bytesSent, bytesReceived }: StepCosts,
  hosts: number,
  { gigabits, delaySeconds }: Network,
): HostParts {
  const batch = Math.max(0, model.cpu.fixed - reduce.fixed) * share
  const own = Math.max(0, model.cpu.perWorker - reduce.perWorker)
  const bytesASecond = (gigabits * 1e9) / 8
  return {
    worker: (batch + own) / model.busy,
    averager: reduce.fixed + reduce.perWorker * hosts,
    incoming: ((hosts - 1) * bytesSent) / bytesASecond,
    outgoing: ((hosts - 1) * bytesReceived) / bytesASecond,
    delay: hosts > 1 ? delaySeconds : 0,
  }
}

/** Computed, then sent, then reduced, then received: a round trip out and one in. */
function apartOf({ worker, averager, incoming, outgoing, delay }: HostParts): number {
  return worker + incoming + averager + outgoing + 2 * delay
}

/** Everything at once, but for a round trip that nothing can hide. */
function overlappedOf({ worker, averager, incoming, outgoing, delay }: HostParts): number {
  return Math.max(worker, averager, incoming, outgoing) + delay
}
