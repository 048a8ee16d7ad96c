/** The closed list of reasons for which Lockstep stops or refuses something. */
export type TrainErrorCode =
  | 'USAGE' // the command line is wrong: exit code 2
  | 'RECIPE_INVALID'
  | 'DATA_MISSING'
  | 'DATA_CORRUPT'
  | 'CHECKPOINT_INVALID'
  | 'CHECKPOINT_MISMATCH'
  | 'RUN_LOCKED'
  | 'RUN_MISSING'
  | 'ENGINE_UNAVAILABLE'
  | 'WORKER_REFUSED_ENGINE'
  | 'WORKER_REFUSED_DATA'
  | 'WORKER_REFUSED_BUILD'
  | 'WORKER_REFUSED_RECIPE'
  | 'WORKER_QUARANTINED' // it computed wrong bits
  | 'WORKER_LOST'
  | 'NO_WORKERS'
  | 'QUEUE_UNAVAILABLE'
  | 'NETWORK'
  | 'PORT_TAKEN'
  | 'NON_FINITE'
  | 'DISK'
  | 'MEMORY'
  | 'INTERRUPTED' // Ctrl-C or SIGTERM: exit code 130 or 143
  | 'INTERNAL' // our own bug

/**
 * A mistake or fault that a person can do something about. The message is one line: what happened, to what
 * (file, record, worker, step), and what to do. Our own bugs are `AssertionError`s instead, through {@link invariant}.
 */
export class TrainError extends Error {
  override readonly name = 'TrainError'
  readonly code: TrainErrorCode

  constructor(code: TrainErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** A broken invariant: a bug in Lockstep, never a user's mistake. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Asserts what must hold by construction. @throws InvariantError naming the broken invariant. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (condition === false || condition === null || condition === undefined) {
    throw new InvariantError(`Lockstep has a bug: this should always hold: ${what}. Please report it with the logs of the run.`)
  }
}
