import { describe, expect, it } from 'vitest'
import { initialSchedule, rateOfStep, scheduleAfterEvaluation, scheduleAfterStep } from './learning-rate.js'

const plateau = {
  initial: 0.01,
  warmupSteps: 0,
  schedule: { type: 'plateau' as const, monitor: 'top1' as const, factor: 0.1, patience: 2, minDelta: 0, maxDrops: 2, thenStop: true },
}

describe('plateau', () => {
  it('drops after `patience` evaluations without improvement, and ends after the last drop', () => {
    const rates: number[] = []
    let state = initialSchedule(plateau)
    const accuracies = [0.5, 0.6, 0.6, 0.6, 0.7, 0.7, 0.69, 0.7, 0.7]
    for (const [index, top1] of accuracies.entries()) {
      state = scheduleAfterEvaluation(plateau, state, index + 1, { loss: 1, top1, top5: 1 })
      rates.push(state.rate)
    }
    expect(rates).toEqual([0.01, 0.01, 0.01, 0.01 * 0.1, 0.01 * 0.1, 0.01 * 0.1, 0.01 * 0.1 * 0.1, 0.01 * 0.1 * 0.1, 0.01 * 0.1 * 0.1])
    expect(state.ended).toBe(true)
    expect(state.evaluatedVersion).toBe(9)
  })

  it('takes a smaller loss for the better one', () => {
    const recipe = { ...plateau, schedule: { ...plateau.schedule, monitor: 'loss' as const } }
    const first = scheduleAfterEvaluation(recipe, initialSchedule(recipe), 1, { loss: 2, top1: 0, top5: 0 })
    const better = scheduleAfterEvaluation(recipe, first, 2, { loss: 1, top1: 0, top5: 0 })
    expect([better.best, better.withoutImprovement]).toEqual([1, 0])
    expect(scheduleAfterEvaluation(recipe, better, 3, { loss: 1.5, top1: 0, top5: 0 }).withoutImprovement).toBe(1)
  })
})

describe('steps', () => {
  const recipe = { initial: 1, warmupSteps: 0, schedule: { type: 'steps' as const, at: [2, 4], factor: 0.5 } }
  it('drops when that many updates are done', () => {
    let state = initialSchedule(recipe)
    const rates: number[] = []
    for (let step = 0; step < 6; step++) {
      rates.push(rateOfStep(recipe, state, step, 6))
      state = scheduleAfterStep(recipe, state, step + 1)
    }
    expect(rates).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25])
  })
})

describe('warm-up and cosine', () => {
  it.each([
    [0, 0.25],
    [3, 1],
    [4, 1],
    [8, 0.5],
    [12, 0],
  ])('step %i has rate %f', (step, rate) => {
    const recipe = { initial: 1, warmupSteps: 4, schedule: { type: 'cosine' as const } }
    expect(rateOfStep(recipe, initialSchedule(recipe), step, 12)).toBeCloseTo(rate, 12)
  })
})

describe('a warm-up', () => {
  const ratesOf = (recipe: Parameters<typeof rateOfStep>[0], steps: number): number[] => {
    let state = initialSchedule(recipe)
    return Array.from({ length: steps }, (_, step) => {
      const rate = rateOfStep(recipe, state, step, steps)
      state = scheduleAfterStep(recipe, state, step + 1)
      return rate
    })
  }

  it.each([
    ['before a drop', [6], [0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.5]],
    ['that a drop comes into: the dropped rate is what it rises to', [2], [0.25, 0.5, 0.375, 0.5, 0.5, 0.5, 0.5, 0.5]],
    ['that ends at a drop', [4], [0.25, 0.5, 0.75, 1, 0.5, 0.5, 0.5, 0.5]],
  ])('of four steps %s', (_, at, rates) => {
    expect(ratesOf({ initial: 1, warmupSteps: 4, schedule: { type: 'steps', at, factor: 0.5 } }, 8)).toEqual(rates)
  })

  it('rises to the rate that a plateau has left, and evaluations within it count', () => {
    const recipe = { ...plateau, initial: 1, warmupSteps: 4, schedule: { ...plateau.schedule, factor: 0.5, patience: 1 } }
    let state = initialSchedule(recipe)
    for (const version of [1, 2]) state = scheduleAfterEvaluation(recipe, state, version, { loss: 1, top1: 0.5, top5: 1 })
    expect([2, 3, 4].map((step) => rateOfStep(recipe, state, step, 100))).toEqual([0.375, 0.5, 0.5])
  })

  it('before a cosine takes its steps from the cosine, which begins at the full rate; longer than the run, it is all there is', () => {
    const recipe = (warmupSteps: number) => ({ initial: 1, warmupSteps, schedule: { type: 'cosine' as const } })
    const rates = ratesOf(recipe(2), 6)
    expect(rates.slice(0, 3)).toEqual([0.5, 1, 1])
    expect(rates.slice(2)).toEqual([0, 1, 2, 3].map((step) => 0.5 * (1 + Math.cos((Math.PI * step) / 4))))
    expect(ratesOf(recipe(8), 4)).toEqual([0.125, 0.25, 0.375, 0.5])
  })

  it('before a constant rate ends exactly there', () => {
    expect(ratesOf({ initial: 0.3, warmupSteps: 3, schedule: { type: 'constant' } }, 5).slice(2)).toEqual([0.3, 0.3, 0.3])
  })
})
