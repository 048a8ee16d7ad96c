import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import { describe, expect, it } from 'vitest'
import type { RunEffect } from './run-effect.js'
import { initialRunState, type RunPlan, type RunState } from './run-state.js'
import { transition } from './transition.js'

const plan: RunPlan = {
  ...{ leaves: 16, globalBatch: 64, steps: 1000, evaluationEvery: null, evaluationBatches: 0, checkpointEvery: 1000, minimumWorkers: 1 },
  learningRate: { initial: 0.1, warmupSteps: 0, schedule: { type: 'constant' } },
}

/** Steps of a run whose workers need so many seconds a leaf. @returns what came out, step by step */
function steps(start: RunState, count: number, secondsOf: Record<string, number>): { state: RunState; effects: RunEffect[][] } {
  let state = start
  const effects: RunEffect[][] = []
  const send = (event: Parameters<typeof transition>[1]): void => {
    const result = transition(state, event)
    state = result.state
    effects.at(-1)?.push(...result.effects)
  }
  for (let number = 0; number < count; number++) {
    effects.push([])
    const step = state.version
    for (const { worker, count: leaves } of state.spans)
      send({ type: 'spanFinished', worker, step, leaves, seconds: leaves * (secondsOf[worker] ?? 0.1) })
    send({ type: 'leavesCovered', step, first: 0, count: 16 })
    send({ type: 'stepReduced', step, counts: { samples: 64, correctTop1: 1, correctTop5: 1, lossSum: 1 }, finite: true })
    send({ type: 'committed', version: step + 1 })
  }
  return { state, effects }
}

function begin(...workers: string[]): RunState {
  let state = initialRunState(plan, 0, initialSchedule(plan.learningRate), -1)
  for (const worker of workers) state = transition(state, { type: 'workerJoined', worker, leafSeconds: 0.1, nowMs: 0 }).state
  return transition(state, { type: 'started' }).state
}

const leavesOf = (effects: readonly RunEffect[], worker: string): number =>
  effects.reduce((sum, effect) => sum + (effect.type === 'assignSpan' && effect.worker === worker ? effect.span.count : 0), 0)
const reports = (effects: readonly RunEffect[][]): RunEffect[] => effects.flat().filter(({ type }) => type === 'reportStraggler')

describe('a worker whose cores are busy elsewhere', () => {
  it('gets smaller spans within a few steps, and larger ones when it is quick again', () => {
    const slowed = steps(begin('a', 'b'), 5, { a: 0.1, b: 0.3 })
    expect(slowed.effects.map((effects) => leavesOf(effects, 'b'))).toEqual([6, 6, 4, 4, 4])
    const longer = steps(slowed.state, 10, { a: 0.1, b: 0.3 })
    expect(leavesOf(longer.effects.at(-1) ?? [], 'b')).toBe(4)
    const again = steps(longer.state, 15, { a: 0.1, b: 0.1 })
    expect(leavesOf(again.effects.at(-1) ?? [], 'b')).toBe(8)
  })

  it('is reported once too when it is so slow that it is given nothing any more', () => {
    const { effects } = steps(begin('a', 'b'), 30, { a: 0.1, b: 10 })
    expect(effects.slice(2, 20).map((made) => leavesOf(made, 'b'))).toEqual(new Array<number>(18).fill(0))
    expect(reports(effects)).toMatchObject([{ worker: 'b', othersSeconds: 0.1 }])
  })

  it('is not reported for what it said when it joined, as long as no span of its own was slow', () => {
    let state = begin('a', 'b')
    state = transition(state, { type: 'workerJoined', worker: 'late', leafSeconds: 10, nowMs: 0 }).state
    const { effects } = steps(state, 30, { a: 0.1, b: 0.1 })
    expect(effects.flatMap((made) => leavesOf(made, 'late'))).toEqual(new Array<number>(30).fill(0))
    expect(reports(effects)).toEqual([])
  })

  it('is reported once, with its figure, when it is far slower than the others for several spans', () => {
    const { effects, state } = steps(begin('a', 'b', 'c'), 30, { a: 0.1, b: 0.1, c: 0.5 })
    expect(reports(effects)).toMatchObject([{ worker: 'c', othersSeconds: 0.1 }])
    const [report] = reports(effects)
    expect(report?.type === 'reportStraggler' ? report.leafSeconds : 0).toBeGreaterThan(0.3)
    // quick again, and slow again: another episode
    const recovered = steps(state, 60, { a: 0.1, b: 0.1, c: 0.1 })
    expect(reports(recovered.effects)).toEqual([])
    // left without leaves while it was slow, it was tried again
    expect(leavesOf(recovered.effects.at(-1) ?? [], 'c')).toBeGreaterThan(3)
    expect(reports(steps(recovered.state, 30, { a: 0.1, b: 0.1, c: 0.5 }).effects)).toHaveLength(1)
  })

  it('is not reported for a moment of slowness, for twice the time of the others, or without others', () => {
    const moment = steps(begin('a', 'b'), 2, { a: 0.1, b: 0.8 })
    expect(reports(steps(moment.state, 20, { a: 0.1, b: 0.1 }).effects)).toEqual([])
    expect(reports(steps(begin('a', 'b'), 40, { a: 0.1, b: 0.25 }).effects)).toEqual([])
    expect(reports(steps(begin('a'), 40, { a: 5 }).effects)).toEqual([])
  })
})
