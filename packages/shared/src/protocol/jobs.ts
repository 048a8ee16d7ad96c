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
  readonly hint: { readonly step: number; readonly first: number; readonly count: number } | null
  /** Leaves of the span that are audited: each is sent as a node of its own. Left out: none. */
  readonly audited?: readonly number[]
  /** How many provisional versions of this term were dropped before. Left out: none. */
  readonly drops?: number
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
