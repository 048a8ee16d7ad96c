import { describe, expect, it } from 'vitest'
import type { MetricsLine } from '@lockstep/coordinator/metrics/metrics-lines.js'
import { markdownOf, pageOf } from './report-blocks.js'
import { FIGURES, scalingBlocks, TITLE } from './scaling-blocks.js'
import { hostsChart, speedupChart, timesChart } from './scaling-charts.js'
import { roundsThatCount, scalingReport, stateCheck, type Measured, type ScalingReport } from './scaling-report.js'
import { sampleOf, type ScalingSample } from './scaling-sample.js'

const times = { input: 0.1, compute: 3, send: 0.2, receive: 0.1, reduce: 0.05, wait: 0.1 }

/** A step of 10 images; one worker takes 4 s and 4 CPU seconds, n workers 5 % more CPU. */
function sample(round: number, workers: number, change: Partial<ScalingSample> = {}): ScalingSample {
  const cpuSeconds = workers === 1 ? 4 : 4.2
  return {
    ...{ round, workers, cores: workers === 1 ? [0] : [0, 1], images: 10, seconds: cpuSeconds / Math.min(2, workers), cpuSeconds },
    ...{ steal: 0, foreign: 0, disturbed: false, times, bytes: { sent: workers * 1e6, received: workers * 1e6 } },
    ...{ parameters: 250_000, stateDigest: 'ab'.repeat(32), loss: 2.5, ...change },
  }
}

function measured(samples: readonly ScalingSample[], cores = 2): Measured {
  return {
    settings: { recipe: 'r.yaml', workers: [1, 2, 4], repetitions: 2, steps: 1, warmUpSteps: 1, set: [] },
    subject: { model: 'vgg-a', inputSize: 112, parameters: 250_000, globalBatch: 10, leaves: 4, computeThreads: 1 },
    machine: { cores, confined: true },
    samples,
  }
}

const quiet = [1, 2].flatMap((round) => [sample(round, 1), sample(round, 2), sample(round, 4)])
const textOf = (report: ScalingReport): string => markdownOf(TITLE, scalingBlocks(report))

/** Of the batch and of a worker, the averager's left out. CPU seconds a step. */
const fixedOf = ({ model }: ScalingReport): number => model.cpu.fixed - times.reduce
const perWorkerOf = ({ model }: ScalingReport): number => model.cpu.perWorker

describe('a sample', () => {
  it('takes the measured steps alone from the metrics, and calls what is left of a step waiting', () => {
    const line = (step: number, compute: number): MetricsLine => ({
      type: 'step',
      ...{ step, loss: step, top1: 0, learningRate: 0.1, seconds: 1, samplesPerSecond: 8, workers: 2 },
      times: { input: 0.2, compute, send: 0.4, receive: 0.2, reduce: 0.3 },
      bytes: { sent: 100, received: 200 },
    })
    const taken = sampleOf({
      plan: { round: 1, workers: 2, cores: null },
      window: { seconds: 4, ownSeconds: 6, steal: 0, foreign: 0.5, disturbed: true },
      ...{ globalBatch: 8, steps: 2, warmUpSteps: 1, parameters: 5, stateDigest: 'd' },
      // the last one came before it heard that it was to stop
      lines: [line(1, 99), line(2, 2), line(3, 3), line(4, 99), line(5, 99)],
    })
    expect(taken).toMatchObject({ images: 16, seconds: 4, cpuSeconds: 6, disturbed: true, loss: 4, bytes: { sent: 100, received: 200 } })
    const { input, compute, send, receive, reduce, wait } = taken.times
    expect([input, compute, send, receive, reduce]).toEqual([0.1, 1.25, 0.2, 0.1, 0.3])
    expect(wait).toBeCloseTo(2 - 1.65)
  })
})

describe('the scaling report', () => {
  it('compares within rounds, and judges crowded counts by processor time', () => {
    const { rows } = scalingReport(measured(quiet))
    const [one, two, four] = rows
    expect(rows.map(({ workers, cores, oversubscribed, judgedBy }) => [workers, cores, oversubscribed, judgedBy])).toEqual([
      [1, 1, false, 'time'],
      [2, 2, false, 'time'],
      [4, 2, true, 'processor time'],
    ])
    expect(one?.speedup.mean).toBe(1)
    expect(two?.speedup.mean).toBeCloseTo(4 / 2.1)
    expect(two?.efficiency.mean).toBeCloseTo(4 / 4.2)
    expect(four?.efficiency.mean).toBeCloseTo(4 / 8.4)
    expect(four?.cpuEfficiency.mean).toBeCloseTo(4 / 4.2)
    expect(two?.imagesPerSecond.mean).toBeCloseTo(10 / 2.1)
  })

  it('sets disturbed rounds aside while two are left, and says which', () => {
    const third = [sample(3, 1), sample(3, 2, { disturbed: true, seconds: 40 }), sample(3, 4)]
    expect(roundsThatCount([...quiet, ...third])).toEqual({ kept: [1, 2], disturbed: [3] })
    const report = scalingReport(measured([...quiet, ...third]))
    expect(report.rows[1]?.speedup.mean).toBeCloseTo(4 / 2.1)
    expect(textOf(report)).toContain('Other work ran beside it in round 3, which is set aside.')
    const crowded = quiet.map((one) => ({ ...one, seconds: one.seconds * 2, disturbed: one.round === 2 }))
    expect(roundsThatCount(crowded)).toEqual({ kept: [1, 2], disturbed: [2] })
    const shared = scalingReport(measured(crowded))
    expect(textOf(shared)).toContain('**Other work ran beside it in round 2**')
    expect(shared.rows.map(({ judgedBy }) => judgedBy)).toEqual(['processor time', 'processor time', 'processor time'])
    // the averager works 0.05 s a step; what a worker does of the rest is not stretched by cores that others had
    expect(shared.model.busy).toBeCloseTo(0.5)
    expect(shared.hosts[0]?.overlappedSeconds).toBeCloseTo(fixedOf(shared) / 2 + perWorkerOf(shared))
  })

  it('holds the states of all trainings against each other', () => {
    expect(stateCheck(quiet, 3)).toEqual({
      step: 3,
      digests: [{ stateDigest: 'ab'.repeat(32), workers: [1, 2, 4], trainings: 6 }],
      same: true,
    })
    const wrong = [...quiet.slice(0, 5), sample(2, 4, { stateDigest: 'cd' })]
    const report = scalingReport(measured(wrong))
    expect(report.state.same).toBe(false)
    expect(report.state.digests.map(({ workers, trainings }) => [workers, trainings])).toEqual([
      [[1, 2, 4], 5],
      [[4], 1],
    ])
    expect(textOf(report)).toContain('## NOT the same bits')
  })

  it('says what the figures rest on', () => {
    const report = scalingReport(measured(quiet))
    const text = textOf(report)
    expect(text).toContain('`lockstep experiment scaling r.yaml --workers 1,2,4 --repetitions 2 --steps 1 --warm-up 1`')
    expect(text).toContain(`All 6 trainings, with 1, 2, 4 workers, came to the same state after step 3`)
    expect(text).toContain(`\`stateDigest ${'ab'.repeat(32)}\``)
    expect(text).toContain('**4 workers shared 2 cores**')
    expect(text).toContain('Nothing else worth mentioning ran beside it.')
    expect(text).toMatch(/\| 4 \| 1, 2 \| 2\.\d+ \| 2\.100 \| \+\d\.\d %/)
    expect(text).toContain('3.75 × on 4 GPUs')
    expect(text).toMatch(
      /\| 2 \| 2 \| 4\.76 \(4\.76–4\.76\) \| 0\.420 \(0\.420–0\.420\) \| 1\.90 × \(1\.90–1\.90\) \| 95\.2 % \(95\.2–95\.2\) \|/,
    )
    expect(report.hostImages).toBe(5)
    expect(text).toMatch(/\| 16 \| \d+\.\d % … \d+\.\d % \|/)
  })

  it('makes a page that needs no other file', () => {
    const report = scalingReport(measured(quiet))
    const figures = new Map<string, string>([
      [FIGURES.speedup, speedupChart(report)],
      [FIGURES.times, timesChart(report)],
      [FIGURES.hosts, hostsChart(report)],
    ])
    for (const svg of figures.values()) expect(svg).toMatch(/^<svg [^]*<\/svg>$/)
    const page = pageOf('A <b> title', scalingBlocks(report), figures)
    expect(page.match(/<svg /g)).toHaveLength(3)
    expect(page).toContain('<h1>A &lt;b&gt; title</h1>')
    expect(page).not.toMatch(/(?:src|href)="(?!#)/)
    expect(page).toContain('<strong>4 workers shared 2 cores</strong>')
  })
})
