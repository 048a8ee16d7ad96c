import type { Logger } from 'pino'
import type { SpanQueues } from './queue/span-queues.js'
import type { RunState } from './run-loop/run-state.js'

/** A worker with work in hand that shows no progress for so long may never have got it. Well below the deadline for being lost. */
const DOUBT_MS = 1_000

/** Workers whose work may have vanished from the queue. */
export function doubtfulWorkers({ workers }: RunState, nowMs: number): string[] {
  return Object.values(workers).flatMap(({ worker, leaves, audits, batches, lastProgressMs }) =>
    leaves.length + audits.length + batches.length > 0 && nowMs - lastProgressMs > DOUBT_MS ? [worker] : [],
  )
}

/**
 * Finds work that vanished from the queue without the connection breaking (somebody emptied the server): a worker that should
 * be busy, is not, and has nothing in its queue. A job in a worker's hands counts as held, so a slow one is not disturbed.
 */
export class QueueWatch {
  readonly #queues: SpanQueues
  readonly #lost: (worker: string) => void
  readonly #logger: Logger
  #looking = false

  /** @param lost called with a worker whose work has to be put in again */
  constructor(queues: SpanQueues, lost: (worker: string) => void, logger: Logger) {
    this.#queues = queues
    this.#lost = lost
    this.#logger = logger
  }

  /** Looks after the workers that give rise to doubt; to be called now and then, while no job is on its way into a queue. */
  look(state: RunState, nowMs: number): void {
    const doubtful = doubtfulWorkers(state, nowMs)
    if (this.#looking || doubtful.length === 0) return
    this.#looking = true
    this.#examine(doubtful)
      .catch((error: unknown) => {
        this.#logger.warn({ err: error }, 'the queue could not be looked into')
      })
      .finally(() => {
        this.#looking = false
      })
  }

  async #examine(workers: readonly string[]): Promise<void> {
    for (const worker of workers) {
      if (!(await this.#queues.isEmpty(worker))) continue
      this.#logger.warn({ worker }, 'the queue of a worker with work in hand is empty: its jobs are put in again')
      this.#lost(worker)
    }
  }
}
