import type { MetricsLine, StepBytes, StepTimes } from '@lockstep/coordinator/metrics/metrics-lines.js'
import type { Window } from '../../measurement/foreign-load.js'
import { digestStep, type PlannedSample } from './scaling-plan.js'

/** What one training came to. Pure. */

/** Seconds a step. Workers: the mean over them; `wait` is what is left of the step. `reduce`: on the averager, beside them. */
export interface SampleTimes extends StepTimes {
  readonly wait: number
}

export interface ScalingSample extends PlannedSample {
  /** Of the measured steps. */
  readonly images: number
  readonly seconds: number
  /** Of the whole tree of processes, and of whoever measures. */
  readonly cpuSeconds: number
  /** Shares of the machine's time that the hypervisor and other processes took. */
  readonly steal: number
  readonly foreign: number
  readonly disturbed: boolean
  readonly times: SampleTimes
  /** A step, all workers together. */
  readonly bytes: StepBytes
  readonly parameters: number
  /** After the step behind the measured ones. */
  readonly stateDigest: string
  readonly loss: number | null
}

export interface MeasuredTraining {
  readonly plan: PlannedSample
  readonly window: Window
  readonly globalBatch: number
  readonly steps: number
  readonly warmUpSteps: number
  /** Lines of its metrics.jsonl. */
  readonly lines: readonly MetricsLine[]
  readonly parameters: number
  readonly stateDigest: string
}

export function sampleOf({
  plan,
  window,
  globalBatch,
  steps,
  warmUpSteps,
  lines,
  parameters,
  stateDigest,
}: MeasuredTraining): ScalingSample {
  const { seconds, ownSeconds, steal, foreign, disturbed } = window
  const all = lines.filter((line) => line.type === 'step')
  // it may have gone on until it heard that it was to stop
  const atDigest = all.find(({ step }) => step === digestStep({ warmUpSteps, steps }))
  const measured = all.filter(({ step }) => step > warmUpSteps && step <= warmUpSteps + steps)
  const ofTimes = (key: keyof StepTimes): number => measured.reduce((sum, { times }) => sum + (times?.[key] ?? 0), 0) / steps
  const ofBytes = (key: keyof StepBytes): number => measured.reduce((sum, { bytes }) => sum + (bytes?.[key] ?? 0), 0) / steps
  const perWorker = (key: keyof StepTimes): number => ofTimes(key) / plan.workers
  const work = { input: perWorker('input'), compute: perWorker('compute'), send: perWorker('send'), receive: perWorker('receive') }
  const wait = Math.max(0, seconds / steps - work.input - work.compute - work.send - work.receive)
  return {
    ...plan,
    ...{ images: steps * globalBatch, seconds, cpuSeconds: ownSeconds, steal, foreign, disturbed },
    times: { ...work, reduce: ofTimes('reduce'), wait },
    bytes: { sent: ofBytes('sent'), received: ofBytes('received') },
    ...{ parameters, stateDigest, loss: atDigest?.loss ?? null },
  }
}
