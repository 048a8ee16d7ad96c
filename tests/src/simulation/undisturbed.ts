import type { RunPlan } from '@lockstep/coordinator/run-loop/run-state.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import {
  initialSchedule,
  rateOfStep,
  scheduleAfterEvaluation,
  scheduleAfterStep,
  type ScheduleState,
  type ValidationMetrics,
} from '@lockstep/shared/optimizer/learning-rate.js'
import { batchStatistics, bitsOf, leafGradient, leafStatistics, mix, sumOf, type GradientTree } from './gradient-tree.js'

/** Weights and velocity of one chunk of the vector, each as a digest. */
export interface ChunkState {
  readonly weights: number
  readonly velocity: number
}

/** One version as it must be, whatever happens on the way. */
export interface VersionRecord {
  /** By number of the chunk in the whole vector. */
  readonly chunks: readonly ChunkState[]
  readonly digest: number
  /** Of the step that made this version; undefined for version 0. */
  readonly statistics: NodeStatistics | undefined
  readonly rate: number
  /** Before an evaluation of this version. */
  readonly schedule: ScheduleState
  readonly evaluation: { readonly metrics: ValidationMetrics; readonly schedule: ScheduleState } | undefined
}

/** SGD on digests: what the kernel does to numbers. */
export function updatedChunk({ weights, velocity }: ChunkState, gradient: GradientTree, chunk: number, rate: number): ChunkState {
  const next = mix(mix(velocity, mix(gradient.hash, chunk)), mix(bitsOf(rate), weights))
  return { weights: mix(weights, next), velocity: next }
}

export function digestOf(weights: readonly number[]): number {
  return weights.reduce(mix, 1)
}

/**
 * The history that one process alone gives: by the definitions, without any of the code under test but the schedule.
 * @param nonFiniteSteps steps whose update is left out
 */
export function undisturbedHistory(plan: RunPlan, chunks: number, nonFiniteSteps: readonly number[]): VersionRecord[] {
  const first = Array.from({ length: chunks }, (_, chunk) => ({ weights: mix(chunk, 5), velocity: 0 }))
  let schedule = initialSchedule(plan.learningRate)
  let record: VersionRecord = {
    chunks: first,
    digest: digestOf(first.map(({ weights }) => weights)),
    statistics: undefined,
    rate: 0,
    schedule,
    evaluation: undefined,
  }
  const history = [record]
  for (let step = 0; step < plan.steps && !schedule.ended; step++) {
    const { digest } = record
    const rate = rateOfStep(plan.learningRate, schedule, step, plan.steps)
    const gradient = byDefinition(0, plan.leaves, (leaf): GradientTree => leafGradient(step, leaf, digest, 0), sumOf)
    const statistics = byDefinition(0, plan.leaves, (leaf) => leafStatistics(step, leaf, digest), addedStatistics)
    const isLeftOut = nonFiniteSteps.includes(step)
    const state = record.chunks.map((chunk, index) => (isLeftOut ? chunk : updatedChunk(chunk, gradient, index, Math.fround(rate))))
    schedule = scheduleAfterStep(plan.learningRate, schedule, step + 1)
    record = { chunks: state, digest: digestOf(state.map(({ weights }) => weights)), statistics, rate, schedule, evaluation: undefined }
    if (isEvaluated(plan, step + 1)) {
      const metrics = metricsOf(plan, step + 1, record.digest)
      schedule = scheduleAfterEvaluation(plan.learningRate, schedule, step + 1, metrics)
      record = { ...record, evaluation: { metrics, schedule } }
    }
    history.push(record)
  }
  return history
}

function isEvaluated({ evaluationBatches, evaluationEvery, steps }: RunPlan, version: number): boolean {
  if (evaluationBatches === 0) return false
  if (version === steps) return true
  return evaluationEvery !== null && Math.floor(version / evaluationEvery) > Math.floor((version - 1) / evaluationEvery)
}

function metricsOf(plan: RunPlan, version: number, digest: number): ValidationMetrics {
  let sum: NodeStatistics = { lossSum: 0, samples: 0, correctTop1: 0, correctTop5: 0 }
  for (let batch = 0; batch < plan.evaluationBatches; batch++) sum = addedStatistics(sum, batchStatistics(version, batch, digest))
  return { loss: sum.lossSum / sum.samples, top1: sum.correctTop1 / sum.samples, top5: sum.correctTop5 / sum.samples }
}

export function addedStatistics(left: NodeStatistics, right: NodeStatistics): NodeStatistics {
  return {
    lossSum: left.lossSum + right.lossSum,
    samples: left.samples + right.samples,
    correctTop1: left.correctTop1 + right.correctTop1,
    correctTop5: left.correctTop5 + right.correctTop5,
  }
}

/** The reduction tree of docs/numerics.md, written down once more: a node of n leaves splits at the largest power of two below n. */
function byDefinition<Value>(first: number, count: number, leaf: (index: number) => Value, add: (a: Value, b: Value) => Value): Value {
  if (count === 1) return leaf(first)
  const split = splitOf(count)
  return add(byDefinition(first, split, leaf, add), byDefinition(first + split, count - split, leaf, add))
}

/** What is wrong with a sum of the leaves [first, first + count), or undefined: each leaf once, in the tree's own order. */
export function treeFault(
  tree: GradientTree,
  first: number,
  count: number,
  ofLeaf: (leaf: GradientTree) => string | undefined,
): string | undefined {
  if (count === 1) {
    if (!('leaf' in tree)) return `a sum stands where leaf ${String(first)} belongs`
    if (tree.leaf !== first) return `leaf ${String(tree.leaf)} stands where leaf ${String(first)} belongs`
    return ofLeaf(tree)
  }
  if ('leaf' in tree) return `leaf ${String(tree.leaf)} alone stands where leaves ${String(first)}+${String(count)} belong`
  const split = splitOf(count)
  return treeFault(tree.left, first, split, ofLeaf) ?? treeFault(tree.right, first + split, count - split, ofLeaf)
}

function splitOf(count: number): number {
  let split = 1
  while (split * 2 < count) split *= 2
  return split
}
