import type { Outcome } from '@lockstep/averager/contribution-check.js'
import type { ValidationMetrics } from '@lockstep/shared/optimizer/learning-rate.js'
import type { RunSummary } from './run-directory/run-summary.js'

/** How much of the newest step's duration counts in the shown rate. */
const RATE_SMOOTHING = 0.1

/** What a term of a run came to, as it goes on: rates, faults, the newest metrics. Times are handed in, in milliseconds. */
export class RunReport {
  readonly #globalBatch: number
  readonly #startMs: number
  readonly #inexact: string | null
  readonly #faults: Record<string, number> = {}
  readonly #workers = new Set<string>()
  #lastCommitMs: number | null = null
  #stepSeconds: number | null = null
  #trainingSeconds = 0
  #stepsDone = 0
  #audits = 0
  #loss: number | null = null
  #evaluation: ValidationMetrics | null = null

  /** @param inexact why the result is not the one bit pattern of the recipe; null: it is */
  constructor(globalBatch: number, nowMs: number, inexact: string | null = null) {
    this.#inexact = inexact
    this.#globalBatch = globalBatch
    this.#startMs = nowMs
  }

  /** The clock of the next step starts now: after a wait, an evaluation or at the begin. */
  restartClock(nowMs: number): void {
    this.#lastCommitMs = nowMs
  }

  /** A step was committed. @returns its wall time in seconds */
  stepDone(nowMs: number, loss: number): number {
    const seconds = this.#lastCommitMs === null ? 0 : (nowMs - this.#lastCommitMs) / 1000
    this.#lastCommitMs = nowMs
    this.#trainingSeconds += seconds
    this.#stepsDone += 1
    this.#loss = loss
    this.#stepSeconds = this.#stepSeconds === null ? seconds : this.#stepSeconds + RATE_SMOOTHING * (seconds - this.#stepSeconds)
    return seconds
  }

  evaluated(metrics: ValidationMetrics): void {
    this.#evaluation = metrics
  }

  fault(kind: string, count = 1): void {
    this.#faults[kind] = (this.#faults[kind] ?? 0) + count
  }

  /** Contributions that nobody of this term should have sent. One that is late, early or comes twice is no fault: re-issued work does. */
  contributions(counters: Readonly<Record<Outcome, number>>): void {
    if (counters.OTHER_RUN > 0) this.fault('contributionOtherRun', counters.OTHER_RUN)
    if (counters.OTHER_TERM > 0) this.fault('contributionOtherTerm', counters.OTHER_TERM)
    if (counters.MALFORMED > 0) this.fault('contributionMalformed', counters.MALFORMED)
  }

  /** A leaf was computed twice and compared. */
  leafAudited(): void {
    this.#audits += 1
  }

  workerJoined(worker: string): void {
    this.#workers.add(worker)
  }

  /** Smoothed; 0 before the first step. */
  get samplesPerSecond(): number {
    return this.#stepSeconds === null || this.#stepSeconds === 0 ? 0 : this.#globalBatch / this.#stepSeconds
  }

  /** Seconds until `steps` more steps are done, evaluations left out. */
  secondsLeft(steps: number): number {
    return steps * (this.#stepSeconds ?? 0)
  }

  summary(
    nowMs: number,
    state: { readonly steps: number; readonly weightsDigest: string; readonly stateDigest: string; readonly fingerprint: string },
  ): RunSummary {
    return {
      steps: state.steps,
      loss: this.#evaluation?.loss ?? this.#loss,
      top1: this.#evaluation?.top1 ?? null,
      top5: this.#evaluation?.top5 ?? null,
      weightsDigest: state.weightsDigest,
      stateDigest: state.stateDigest,
      wallSeconds: (nowMs - this.#startMs) / 1000,
      samplesPerSecond: this.#trainingSeconds === 0 ? 0 : (this.#stepsDone * this.#globalBatch) / this.#trainingSeconds,
      workers: this.#workers.size,
      faults: { ...this.#faults },
      audits: this.#audits,
      exact: this.#inexact === null,
      ...(this.#inexact === null ? {} : { inexact: this.#inexact }),
      fingerprint: state.fingerprint,
    }
  }
}
