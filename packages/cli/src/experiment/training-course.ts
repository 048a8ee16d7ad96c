import type { MetricsLine } from '@lockstep/coordinator/metrics/metrics-lines.js'

/** What a training's metrics say. Pure. */

export interface CoursePoint {
  readonly step: number
  /** Mean training loss of the steps since the point before; null where it was not finite. */
  readonly loss: number | null
}

export interface Evaluation {
  readonly step: number
  readonly loss: number | null
  /** Shares, 0–1. */
  readonly top1: number
  readonly top5: number
}

export interface TrainingCourse {
  /** Updates done. */
  readonly steps: number
  readonly losses: readonly CoursePoint[]
  readonly evaluations: readonly Evaluation[]
  /** Of steps and evaluations, over all its terms: starts of processes and pauses are not in it. */
  readonly seconds: number
  readonly imagesPerSecond: number
}

/** Points of a curve: more tell no more at the size of a figure. */
const POINTS = 120

/** The course of a training from the lines of its metrics.jsonl. */
export function courseOf(lines: readonly MetricsLine[]): TrainingCourse {
  const steps = lines.filter((line) => line.type === 'step')
  const evaluations = lines.filter((line) => line.type === 'evaluation')
  const stepSeconds = steps.reduce((sum, line) => sum + line.seconds, 0)
  const images = steps.reduce((sum, line) => sum + line.samplesPerSecond * line.seconds, 0)
  return {
    steps: steps.at(-1)?.step ?? 0,
    losses: thinned(steps),
    evaluations: evaluations.map(({ step, loss, top1, top5 }) => ({ step, loss, top1, top5 })),
    seconds: stepSeconds + evaluations.reduce((sum, line) => sum + line.seconds, 0),
    imagesPerSecond: stepSeconds > 0 ? images / stepSeconds : 0,
  }
}

/** Means over stretches of equal length. */
function thinned(steps: readonly { readonly step: number; readonly loss: number | null }[]): CoursePoint[] {
  const stretch = Math.max(1, Math.ceil(steps.length / POINTS))
  const points: CoursePoint[] = []
  for (let from = 0; from < steps.length; from += stretch) {
    const some = steps.slice(from, from + stretch)
    const sum = some.reduce((total, { loss }) => total + (loss ?? Number.NaN), 0)
    points.push({ step: some.at(-1)?.step ?? 0, loss: Number.isFinite(sum) ? sum / some.length : null })
  }
  return points
}

/** Lines of a metrics.jsonl; a torn last line, of a process that was killed, is left out. */
export function parseMetrics(text: string): MetricsLine[] {
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as MetricsLine]
    } catch {
      return []
    }
  })
}
