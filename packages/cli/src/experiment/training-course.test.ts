import { metricsLine, type MetricsLine } from '@lockstep/coordinator/metrics/metrics-lines.js'
import { describe, expect, it } from 'vitest'
import { courseOf, parseMetrics } from './training-course.js'

const step = (number: number, loss: number): MetricsLine => ({
  ...{ type: 'step', step: number, loss, top1: 0, learningRate: 0.1 },
  ...{ seconds: 0.5, samplesPerSecond: 128, workers: 2 },
})
const evaluation = (number: number, top1: number): MetricsLine => ({
  ...{ type: 'evaluation', step: number, loss: 1, top1, top5: 1 },
  ...{ samples: 10, seconds: 2, best: true },
})

describe('the course of a training', () => {
  it('adds up steps and evaluations', () => {
    const course = courseOf([step(1, 4), step(2, 2), evaluation(2, 0.25)])
    expect(course).toEqual({
      steps: 2,
      losses: [
        { step: 1, loss: 4 },
        { step: 2, loss: 2 },
      ],
      evaluations: [{ step: 2, loss: 1, top1: 0.25, top5: 1 }],
      seconds: 3,
      imagesPerSecond: 128,
    })
  })

  it('thins a long curve to means', () => {
    const { losses, steps } = courseOf(Array.from({ length: 240 }, (_, index) => step(index + 1, index)))
    expect(steps).toBe(240)
    expect(losses).toHaveLength(120)
    expect(losses.slice(0, 2)).toEqual([
      { step: 2, loss: 0.5 },
      { step: 4, loss: 2.5 },
    ])
  })

  it('reads what a training writes, a torn line and a loss that is not finite among it', () => {
    const text = metricsLine(step(1, 3)) + metricsLine(step(2, Number.NaN)) + '{"type":"step","st'
    expect(courseOf(parseMetrics(text)).losses).toEqual([
      { step: 1, loss: 3 },
      { step: 2, loss: null },
    ])
  })

  it('of nothing is nothing', () => {
    expect(courseOf([])).toEqual({ steps: 0, losses: [], evaluations: [], seconds: 0, imagesPerSecond: 0 })
  })
})
