import type { Job, SpanHint, SpanJob } from '@lockstep/shared/protocol/jobs.js'

/**
 * A span that is computed because a hint said so, while its job is on the way. Nothing of it is sent until the job came; if another comes
 * instead, the work is for nothing and nobody hears of it.
 */
export class EarlySpan {
  /** Whether its job came; false once it cannot come any more. */
  readonly wanted: Promise<boolean>
  /** Resolves when nothing of it goes on. */
  over: Promise<void> = Promise.resolve()
  #decide!: (wanted: boolean) => void
  #refused = false
  #onTaken: (hint: SpanHint) => void = () => undefined

  /** @param job as it is expected */
  constructor(readonly job: SpanJob) {
    this.wanted = new Promise((resolve) => {
      this.#decide = resolve
    })
  }

  /** Called with the hint of the job when it comes, if it has one. */
  onTaken(listener: (hint: SpanHint) => void): void {
    this.#onTaken = listener
  }

  /** @returns whether this is the job that was expected, and the work was not given up */
  take(job: Job): boolean {
    const { term, step, first, count } = this.job
    if (this.#refused || job.kind !== 'span' || job.audited !== undefined) return false
    if (job.term !== term || job.step !== step || job.first !== first || job.count !== count) return false
    if (job.hint !== null) this.#onTaken(job.hint)
    this.#decide(true)
    return true
  }

  /** Its job will not be taken: it is given up. */
  refuse(): void {
    this.#refused = true
    this.#decide(false)
  }
}
