import { monotonicUs } from './clock.js'
import { isTraced, type Span, type SpanSubject, type TracedSteps } from './span.js'

/** Waits shorter than this are none. */
const LEAST_WAIT_US = 20

/**
 * Keeps the newest spans of a process or thread until somebody takes them. Bounded: what is not taken in time is overwritten
 * from the oldest on. While it is off, and that is how it begins, it keeps nothing and asks no clock.
 */
export class SpanRecorder {
  #steps: TracedSteps | undefined
  #spans: Span[] = []
  /** The newest step that anything was of. */
  latestStep = 0

  /** @param most spans kept */
  constructor(private readonly most: number) {}

  /** @param steps which are kept; undefined: none */
  record(steps: TracedSteps | undefined): void {
    this.#steps = steps
    this.#spans = []
  }

  get isOn(): boolean {
    return this.#steps !== undefined
  }

  /** When something begins; 0 while nothing is recorded. */
  now(): number {
    return this.isOn ? monotonicUs() : 0
  }

  /** Something that began at `startUs` is over. */
  add(subject: SpanSubject, startUs: number, endUs = this.now()): void {
    this.latestStep = Math.max(this.latestStep, subject.step)
    if (this.#steps === undefined || startUs === 0 || !isTraced(this.#steps, subject.step)) return
    const durationUs = Math.max(0, endUs - startUs)
    if (subject.kind === 'wait' && durationUs < LEAST_WAIT_US) return
    this.#spans.push({ ...subject, startUs, durationUs })
    // half at a time, so that dropping costs nothing a span
    if (this.#spans.length >= 2 * this.most) this.#spans = this.#spans.slice(-this.most)
  }

  /** Measures how long something takes, whether it succeeds or not. */
  async time<Value>(subject: SpanSubject, work: () => Promise<Value>): Promise<Value> {
    if (!this.isOn) return await work()
    const startUs = this.now()
    try {
      return await work()
    } finally {
      this.add(subject, startUs)
    }
  }

  /** Takes what was kept, the newest `most` of it. */
  take(most = this.most): Span[] {
    const taken = this.#spans.slice(-most)
    this.#spans = []
    return taken
  }
}
