/**
 * Where the time of a step went: seconds, summed over workers. What is left of workers × seconds they waited, for the others, the
 * commit or their next job. A worker's word may come after the line was written; it counts in the next one then, so that sums over
 * several steps are right.
 */
export interface StepTimes {
  /** Nothing to compute on, since pictures were not decoded yet. */
  readonly input: number
  readonly compute: number
  /** After the last gradient, until all were acknowledged. */
  readonly send: number
  /** After the commit, until the weights were there and in the engine. */
  readonly receive: number
  /** Averager: taking contributions in, adding and updating; summed over slices, beside the workers' time. */
  readonly reduce: number
}

/** What was exchanged for a step, summed over workers, whichever way it went. */
export interface StepBytes {
  /** Gradients. */
  readonly sent: number
  /** Weights. */
  readonly received: number
}

/** A line of metrics.jsonl for a step. `step` counts updates done, as checkpoints do: the first line says 1. */
export interface StepMetrics {
  readonly step: number
  /** Mean over the global batch, before the update. */
  readonly loss: number
  /** Share of right first guesses in the global batch, 0–1. */
  readonly top1: number
  readonly learningRate: number
  /** Wall time of the step. */
  readonly seconds: number
  readonly samplesPerSecond: number
  readonly workers: number
  readonly times?: StepTimes
  readonly bytes?: StepBytes
  /** SHA-256, hexadecimal, of the state after this update, where the recipe asks for it. */
  readonly stateDigest?: string
  /** The step was not finite, and its update left out (`nonFinite: skip`). */
  readonly skipped?: true
}

/** A line of metrics.jsonl for an evaluation after `step` updates. */
export interface EvaluationMetrics {
  readonly step: number
  readonly loss: number
  readonly top1: number
  readonly top5: number
  readonly samples: number
  readonly seconds: number
  /** Whether it is the best of the run so far. */
  readonly best: boolean
}

/** One line of the file, as read. */
export type MetricsLine = ({ readonly type: 'step' } & StepMetrics) | ({ readonly type: 'evaluation' } & EvaluationMetrics)

/** The line with its end. A number that is not finite becomes null: JSON knows no NaN. */
export function metricsLine(line: MetricsLine): string {
  return `${JSON.stringify(line)}\n`
}

/**
 * Whether a line stays when the metrics are cut back to `step`. Lines stand in order of their steps, so the file is cut
 * at the first that does not stay; a torn line never stays.
 */
export function staysAfterCut(line: string, step: number): boolean {
  try {
    const parsed = JSON.parse(line) as Partial<MetricsLine> | null
    return typeof parsed?.step === 'number' && parsed.step <= step
  } catch {
    return false
  }
}
