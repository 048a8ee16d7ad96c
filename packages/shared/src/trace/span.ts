/** What a stretch of time was spent on; the category of its event in trace.json. */
export type SpanKind =
  'job' | 'load' | 'compute' | 'layer' | 'send' | 'receive' | 'wait' | 'reduce' | 'update' | 'step' | 'evaluation' | 'checkpoint'

/** What a span is about. */
export interface SpanSubject {
  /** Spans of one track lie under each other; whose it is, is known from where it comes. */
  readonly track: string
  readonly kind: SpanKind
  /** For people. */
  readonly name: string
  /** The step, or the weights version, that it belongs to. */
  readonly step: number
}

/** A stretch of time, in microseconds of the monotonic clock of the machine where it was measured. */
export interface Span extends SpanSubject {
  readonly startUs: number
  readonly durationUs: number
}

/** Which steps are traced: the newest so many, or those of [first, last]. */
export type TracedSteps = number | readonly [number, number]

/** Whether a step may end up in the trace. */
export function isTraced(steps: TracedSteps, step: number): boolean {
  return typeof steps === 'number' || (step >= steps[0] && step <= steps[1])
}
