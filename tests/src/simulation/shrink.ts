import type { Mutation } from './mutation.js'
import type { Fault, Scenario } from './scenario.js'
import { simulate, type Outcome } from './simulation.js'

/** Simulations at most, for one failure. */
const BUDGET = 1_500

/** A history that still breaks the same invariant, with as little in it as could be found. */
export interface Shrunk {
  readonly scenario: Scenario
  readonly outcome: Outcome
  readonly simulations: number
}

/** Makes a failing history shorter: leaves faults out, then makes everything else smaller, until nothing more can go. */
export function shrink(scenario: Scenario, mutation?: Mutation): Shrunk {
  const { failure } = simulate(scenario, { mutation })
  if (failure === undefined) throw new Error(`seed ${String(scenario.seed)} does not fail`)
  let simulations = 0
  let best = scenario
  const fails = (candidate: Scenario): boolean => {
    if (simulations >= BUDGET) return false
    simulations++
    return simulate(candidate, { mutation }).failure?.invariant === failure.invariant
  }
  for (let changed = true; changed;) {
    changed = false
    for (const candidate of smaller(best)) {
      if (!fails(candidate)) continue
      best = candidate
      changed = true
      break
    }
  }
  return { scenario: best, outcome: simulate(best, { mutation, noted: true }), simulations }
}

/** Every scenario that is one cut smaller, the deepest cuts first. */
function* smaller(scenario: Scenario): Generator<Scenario> {
  yield* fewerFaults(scenario)
  yield* fewerWorkers(scenario)
  yield* smallerPlans(scenario)
  yield* calmer(scenario)
  yield* shorterFaults(scenario)
}

function* fewerFaults(scenario: Scenario): Generator<Scenario> {
  const { faults } = scenario
  for (let size = faults.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < faults.length; at += size) yield { ...scenario, faults: [...faults.slice(0, at), ...faults.slice(at + size)] }
  }
}

function* fewerWorkers(scenario: Scenario): Generator<Scenario> {
  const { workers, faults, plan } = scenario
  if (plan.minimumWorkers > 1) yield { ...scenario, plan: { ...plan, minimumWorkers: 1 } }
  if (workers.some(({ joinsAtMs }) => joinsAtMs > 0)) yield { ...scenario, workers: workers.map((worker) => ({ ...worker, joinsAtMs: 0 })) }
  for (let gone = workers.length - 1; gone >= 0 && workers.length > plan.minimumWorkers; gone--) {
    const left = faults
      .filter(({ worker }) => worker !== gone)
      .map((fault) => (fault.worker > gone ? { ...fault, worker: fault.worker - 1 } : fault))
    yield { ...scenario, workers: workers.filter((_, index) => index !== gone), faults: left }
  }
}

function* smallerPlans(scenario: Scenario): Generator<Scenario> {
  const { plan, slices } = scenario
  for (const steps of below(plan.steps)) yield { ...scenario, plan: { ...plan, steps } }
  for (const step of scenario.nonFiniteSteps)
    yield { ...scenario, nonFiniteSteps: scenario.nonFiniteSteps.filter((other) => other !== step) }
  for (const leaves of below(plan.leaves)) yield { ...scenario, plan: { ...plan, leaves, globalBatch: leaves * 8 } }
  for (const count of below(slices.length)) {
    yield {
      ...scenario,
      slices: slices.slice(0, count),
      faults: scenario.faults.map((fault) => ({ ...fault, slice: Math.min(fault.slice, count - 1) })),
    }
  }
  if (slices.some((chunks) => chunks > 1)) yield { ...scenario, slices: slices.map((chunks) => Math.max(1, chunks - 1)) }
  if (plan.evaluationBatches > 0) yield { ...scenario, plan: { ...plan, evaluationBatches: 0 } }
  if (plan.evaluationBatches > 1) yield { ...scenario, plan: { ...plan, evaluationBatches: 1 } }
  if (plan.checkpointEvery < 1_000) yield { ...scenario, plan: { ...plan, checkpointEvery: 1_000 } }
  if (plan.learningRate.schedule.type !== 'constant' || plan.learningRate.warmupSteps > 0) {
    yield { ...scenario, plan: { ...plan, learningRate: { initial: 0.1, warmupSteps: 0, schedule: { type: 'constant' } } } }
  }
}

function* calmer(scenario: Scenario): Generator<Scenario> {
  const { network, threads } = scenario
  if (network.spikes > 0) yield { ...scenario, network: { ...network, spikes: 0 } }
  if (network.mostMs > 2) yield { ...scenario, network: { ...network, mostMs: 2 } }
  if (threads.spikes > 0) yield { ...scenario, threads: { ...threads, spikes: 0 } }
  if (scenario.checkpointMs > 5) yield { ...scenario, checkpointMs: 5 }
}

function* shorterFaults(scenario: Scenario): Generator<Scenario> {
  for (const [index, fault] of scenario.faults.entries()) {
    const others = (changed: Fault): Scenario => ({
      ...scenario,
      faults: scenario.faults.map((other, at) => (at === index ? changed : other)),
    })
    if (fault.forMs > 20) yield others({ ...fault, forMs: Math.floor(fault.forMs / 2) })
    if (fault.atMs > 200) yield others({ ...fault, atMs: Math.floor(fault.atMs / 2) })
  }
}

function below(value: number): number[] {
  return [...new Set([1, Math.floor(value / 2), value - 1])].filter((smaller) => smaller >= 1 && smaller < value)
}
