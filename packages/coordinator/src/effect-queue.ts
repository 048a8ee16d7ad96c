import type { RunEffect } from './run-loop/run-effect.js'

/**
 * Performs effects in their order, one after the other; only jobs that follow one another are put into the queues of different workers at
 * once, since no worker's job need wait until another's is there.
 */
export class EffectQueue {
  /** The end of everything before the newest jobs. */
  #done: Promise<unknown> = Promise.resolve()
  /** The ends of the newest jobs, by worker. */
  readonly #jobs = new Map<string, Promise<void>>()
  #waiting = 0

  /** @param fail told of what an effect threw; those behind it are performed all the same */
  constructor(
    private readonly perform: (effect: RunEffect) => Promise<void>,
    private readonly fail: (error: unknown) => void,
  ) {}

  /** Effects that are not over. */
  get waiting(): number {
    return this.#waiting
  }

  add(effect: RunEffect): void {
    this.#waiting += 1
    if (effect.type === 'assignSpan' || effect.type === 'assignEvaluation') {
      this.#jobs.set(effect.worker, this.#performAfter(this.#jobs.get(effect.worker) ?? this.#done, effect))
      return
    }
    this.#done = this.#performAfter(Promise.all([this.#done, ...this.#jobs.values()]), effect)
    this.#jobs.clear()
  }

  /** Never rejects. */
  async #performAfter(before: Promise<unknown>, effect: RunEffect): Promise<void> {
    await before
    try {
      await this.perform(effect)
    } catch (error) {
      this.fail(error)
    } finally {
      this.#waiting -= 1
    }
  }
}
