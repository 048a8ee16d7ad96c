import type { TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { Environment__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Environment.js'
import type { Probe__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Probe.js'

/**
 * Who may join: pure decisions. A worker shows digests of what it would compute with; any difference to the run's own
 * refuses it, with words that name the difference and what to do.
 */

export interface Refusal {
  readonly code: TrainErrorCode
  readonly message: string
}

/** What every member of the run must show. */
export interface Requirements {
  readonly buildDigest: string
  readonly recipeDigest: string
  readonly dataDigest: string
}

/** The engine that the run's numbers come from: the first member's, or the one recorded in the checkpoint it goes on from. */
export interface Engine {
  readonly fingerprint: string
  /** In words, for a person who looks for the difference; empty when unknown. */
  readonly description: string
}

/** The environment a worker told of, in one line. */
export function describeEnvironment(environment: Environment__Output | null): string {
  if (environment === null) return ''
  const { node, tensorflow, cpu, platform, computeThreads } = environment
  return `TensorFlow ${tensorflow}, ${String(computeThreads)} compute thread(s), ${cpu}, ${platform}, Node ${node}`
}

/** A process that computed wrong bits does not come back under another membership. */
export function refuseQuarantined(quarantined: ReadonlySet<string>, process: string): Refusal | null {
  if (!quarantined.has(process)) return null
  return {
    code: 'WORKER_QUARANTINED',
    message: `this worker (process ${process}) computed wrong bits in this run and is not admitted again: test this machine's memory and processor before a new worker is started on it`,
  }
}

/** Before the worker computes anything: is it the same build? */
export function refuseBuild(required: string, shown: string): Refusal | null {
  if (shown === required) return null
  return {
    code: 'WORKER_REFUSED_BUILD',
    message: `this worker runs another build of Lockstep (${short(shown)}) than the coordinator (${short(required)}): install the same version on both, and run setup again`,
  }
}

/**
 * Before the worker computes anything: is there a place? @param present members, and those who are on the way to be one
 * @returns why not, for a worker that asks again later, or null
 */
export function placeTaken(maximum: number, present: number): string | null {
  if (present < maximum) return null
  return `the run has all the ${String(maximum)} workers it takes (run.workers.maximum): this one asks again until a place is free; to have more at once, resume the run with --set run.workers.maximum=${String(maximum + 1)}`
}

/** After the probe: data, recipe and engine. @param engine null while nobody has joined yet */
export function refuseProbe(requirements: Requirements, engine: Engine | null, shown: Probe__Output, environment: string): Refusal | null {
  if (shown.recipeDigest !== requirements.recipeDigest) {
    return {
      code: 'WORKER_REFUSED_RECIPE',
      message: `this worker read the recipe as ${short(shown.recipeDigest)}, the coordinator as ${short(requirements.recipeDigest)}: install the same version of Lockstep on both`,
    }
  }
  if (shown.dataDigest !== requirements.dataDigest) {
    return {
      code: 'WORKER_REFUSED_DATA',
      message: `this worker's data set is ${short(shown.dataDigest)}, the run's is ${short(requirements.dataDigest)}: give the run's own packed folder with --data`,
    }
  }
  if (engine !== null && shown.fingerprint !== engine.fingerprint) {
    const theirs = engine.description === '' ? 'the engine this run was computed with' : engine.description
    return {
      code: 'WORKER_REFUSED_ENGINE',
      message: `this worker computes other bits (fingerprint ${short(shown.fingerprint)}, the run's is ${short(engine.fingerprint)}); here: ${environment}; there: ${theirs}: use the same processor type, TensorFlow and number of compute threads`,
    }
  }
  return null
}

function short(digest: string): string {
  return digest === '' ? 'nothing' : digest.slice(0, 12)
}
