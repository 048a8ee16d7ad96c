import { withOverlappingAdditions, type Mutation } from './mutation.js'
import type { Scenario } from './scenario.js'
import { SimulatedWorld } from './simulated-world.js'
import { Violation } from './violation.js'

/** What became of a history. */
export interface Outcome {
  /** What went wrong; undefined: nothing. */
  readonly failure: { readonly invariant: string; readonly message: string } | undefined
  readonly virtualMs: number
  readonly events: number
  /** How often what happened: faults by kind, answers by outcome, ends by reason. */
  readonly counts: ReadonlyMap<string, number>
  /** What happened, when it was asked for. */
  readonly notes: readonly string[]
}

export interface SimulationOptions {
  readonly mutation?: Mutation | undefined
  /** Whether to write down what happens. */
  readonly noted?: boolean
}

/** Lets a history happen. The same scenario gives the same outcome, always. */
export function simulate(scenario: Scenario, options: SimulationOptions = {}): Outcome {
  const { mutation, noted = false } = options
  const run = (): Outcome => {
    const world = new SimulatedWorld(scenario, mutation, noted)
    let failure: Outcome['failure']
    try {
      world.run()
    } catch (error) {
      failure = failureOf(error)
    }
    return { failure, virtualMs: world.time.nowMs, events: world.events, notes: world.notes ?? [], counts: world.counts }
  }
  return mutation === 'addOverlapping' ? withOverlappingAdditions(run) : run()
}

/** A broken invariant of the simulator or of the code under test; anything else is a bug of the simulator itself. */
function failureOf(error: unknown): NonNullable<Outcome['failure']> {
  if (error instanceof Violation) return { invariant: error.invariant, message: error.message }
  if (!(error instanceof Error)) throw error
  return { invariant: `${error.name}: ${error.message}`, message: error.stack ?? error.message }
}
