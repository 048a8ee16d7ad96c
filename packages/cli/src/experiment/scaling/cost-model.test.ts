import { describe, expect, it } from 'vitest'
import { checkPredictions, fitCosts, fitLine, predictHosts, predictSeconds, type CostPoint, type StepCosts } from './cost-model.js'

/** C(n) = 8 + 0.5 n, cores busy for 80 % of their time. */
const point = (workers: number, cores: number): CostPoint => {
  const cpuSeconds = 8 + 0.5 * workers
  return { workers, cores, cpuSeconds, seconds: cpuSeconds / (cores * 0.8) }
}

describe('the cost of a step', () => {
  it.each([
    [
      [
        [1, 3],
        [2, 5],
      ],
      { fixed: 1, perWorker: 2 },
    ],
    [[[2, 7]], { fixed: 7, perWorker: 0 }],
    [
      [
        [1, 5],
        [2, 3],
      ],
      { fixed: 4, perWorker: 0 },
    ],
    [
      [
        [1, 1],
        [2, 4],
      ],
      { fixed: 0, perWorker: 9 / 5 },
    ],
  ] as const)('is a line through %j with neither part below zero', (points, line) => {
    const fitted = fitLine(points)
    expect(fitted.fixed).toBeCloseTo(line.fixed)
    expect(fitted.perWorker).toBeCloseTo(line.perWorker)
  })

  it('is found again from what it makes, and holds with more workers than cores', () => {
    const model = fitCosts([point(1, 1), point(2, 2)])
    expect(model.cpu.fixed).toBeCloseTo(8)
    expect(model.cpu.perWorker).toBeCloseTo(0.5)
    expect(model.busy).toBeCloseTo(0.8)
    expect(predictSeconds(model, 4, 2)).toBeCloseTo(point(4, 2).seconds)
  })

  it('predicts every count from the others alone', () => {
    const checks = checkPredictions([point(1, 1), point(2, 2), { ...point(4, 2), seconds: 10 }])
    expect(checks.map(({ workers, from }) => [workers, from])).toEqual([
      [1, [2, 4]],
      [2, [1, 4]],
      [4, [1, 2]],
    ])
    const last = checks[2]
    expect(last?.predictedSeconds).toBeCloseTo(6.25)
    expect(last?.error).toBeCloseTo(-0.375)
    expect(checkPredictions([point(1, 1)])).toEqual([])
  })
})

describe('several hosts', () => {
  /** A worker computes (9 − 1) / 4 + (0.3 − 0.1) = 2.2 s; the averager 1 + 0.1 n; 1.25 GB each way, a second at 10 Gbit/s. */
  const costs: StepCosts = {
    model: { cpu: { fixed: 9, perWorker: 0.3 }, busy: 1 },
    reduce: { fixed: 1, perWorker: 0.1 },
    share: 1 / 4,
    bytesSent: 1.25e9,
    bytesReceived: 2.5e9,
  }
  const network = { gigabits: 10, delaySeconds: 0.5 }

  it('need no network alone', () => {
    expect(predictHosts(costs, 1, network)).toMatchObject({ apartSeconds: 2.2 + 1.1, apartEfficiency: 1, overlappedEfficiency: 1 })
    expect(predictHosts(costs, 1, network).overlappedSeconds).toBeCloseTo(2.2)
  })

  it('share the line of the averager, and wait for a round trip at least', () => {
    const three = predictHosts(costs, 3, network)
    expect(three.apartSeconds).toBeCloseTo(2.2 + 1.3 + 2 * 1 + 2 * 2 + 2 * 0.5)
    expect(three.overlappedSeconds).toBeCloseTo(4 + 0.5)
    expect(three.apartEfficiency).toBeCloseTo(3.3 / 10.5)
    expect(three.overlappedEfficiency).toBeCloseTo(2.2 / 4.5)
  })
})
