import { isTraced, type Span, type TracedSteps } from '@lockstep/shared/trace/span.js'

/** Spans of all processes together: some 4 MB of trace.json. */
export const MOST_SPANS = 20_000

/** A span and whose it is. */
export interface OwnedSpan extends Span {
  /** Number of the process in the trace. */
  readonly process: number
}

/** Keeps the spans of the steps asked for, whole steps at a time: when there are too many, the oldest step goes. */
export class SpanStore {
  readonly #byStep = new Map<number, OwnedSpan[]>()
  #count = 0
  /** Spans that were dropped with their step, or that came for one that had gone. */
  dropped = 0
  #oldestKept = 0

  constructor(
    private readonly steps: TracedSteps,
    private readonly most = MOST_SPANS,
  ) {}

  add(span: OwnedSpan): void {
    if (!isTraced(this.steps, span.step)) return
    if (span.step < this.#oldestKept) {
      this.dropped++
      return
    }
    const spans = this.#byStep.get(span.step)
    if (spans === undefined) this.#byStep.set(span.step, [span])
    else spans.push(span)
    this.#count++
    const mostSteps = typeof this.steps === 'number' ? this.steps : Number.MAX_SAFE_INTEGER
    while (this.#byStep.size > 1 && (this.#byStep.size > mostSteps || this.#count > this.most)) this.#dropOldest()
    // a single step that is too much alone
    if (this.#count > this.most) this.#dropOfOnly()
  }

  /** In no order. */
  *all(): Generator<OwnedSpan> {
    for (const spans of this.#byStep.values()) yield* spans
  }

  #dropOldest(): void {
    const oldest = Math.min(...this.#byStep.keys())
    const count = this.#byStep.get(oldest)?.length ?? 0
    this.#byStep.delete(oldest)
    this.#count -= count
    this.dropped += count
    this.#oldestKept = oldest + 1
  }

  #dropOfOnly(): void {
    for (const spans of this.#byStep.values()) spans.pop()
    this.#count--
    this.dropped++
  }
}
