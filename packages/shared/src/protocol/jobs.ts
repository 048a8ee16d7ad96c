/**
 * What travels through a worker's BullMQ queue. The queue is transport only: a job that is lost is put there again from
 * the run loop's state, and one that is out of date is recognised by its term and step.
 */

/** Compute the leaves [first, first + count) of step `step` from weights version `step`. */
export interface SpanJob {
  readonly kind: 'span'
  readonly term: number
  readonly step: number
  readonly first: number
  readonly count: number
  /** The span this worker will likely get at the next step, so that its input can be decoded in time. */
  readonly hint: SpanHint | null
  /** Leaves of the span that are audited: each is sent as a node of its own. Left out: none. */
  readonly audited?: readonly number[]
  /** How many provisional versions of this term were dropped before. Left out: none. */
  readonly drops?: number
}

/** What will likely be asked of a worker next. */
export interface SpanHint {
  readonly step: number
  readonly first: number
  readonly count: number
  /**
   * Nothing will come between: once weights version `step` is committed, the span may be begun before its job is here. Nothing of it
   * may be sent before. Left out: it may not be begun.
   */
  readonly begin?: true
}

/** Compute the evaluation batches [first, first + count) with weights version `version`. */
export interface EvaluationJob {
  readonly kind: 'evaluation'
  readonly term: number
  readonly version: number
  readonly first: number
  readonly count: number
  /** How many provisional versions of this term were dropped before. Left out: none. */
  readonly drops?: number
}

export type Job = SpanJob | EvaluationJob
