import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import { describe, expect, it } from 'vitest'
import type { RunEffect } from './run-effect.js'
import type { RunEvent } from './run-event.js'
import { initialRunState, type RunPlan, type RunState } from './run-state.js'
import { transition } from './transition.js'

const plan: RunPlan = {
  leaves: 8,
  globalBatch: 64,
  steps: 4,
  evaluationEvery: 2,
  evaluationBatches: 3,
  checkpointEvery: 100,
  minimumWorkers: 1,
  learningRate: {
    initial: 0.1,
    warmupSteps: 0,
    schedule: { type: 'plateau', monitor: 'top1', factor: 0.1, patience: 1, minDelta: 0, maxDrops: 1, thenStop: true },
  },
}
const counts = { samples: 64, correctTop1: 32, correctTop5: 64, lossSum: 64 }
const batch = { samples: 10, correctTop1: 5, correctTop5: 10, lossSum: 10 }

/** A run loop under test: feeds events and keeps what came out. */
class Driver {
  state: RunState
  effects: RunEffect[] = []
  constructor(overrides: Partial<RunPlan> = {}, version = 0, saved = -1) {
    const merged = { ...plan, ...overrides }
    this.state = initialRunState(merged, version, initialSchedule(merged.learningRate), saved)
  }
  send(...events: RunEvent[]): RunEffect[] {
    this.effects = []
    for (const event of events) {
      const { state, effects } = transition(this.state, event)
      this.state = state
      this.effects.push(...effects)
    }
    return this.effects
  }
  join(worker: string): RunEffect[] {
    return this.send({ type: 'workerJoined', worker, leafSeconds: 0.1, nowMs: 0 })
  }
  /** Everything of the step under way arrives and is committed. */
  step(): RunEffect[] {
    const step = this.state.version
    return this.send(
      { type: 'leavesCovered', step, first: 0, count: 8 },
      { type: 'stepReduced', step, counts, finite: true },
      { type: 'committed', version: step + 1 },
    )
  }
  evaluate(correctTop1 = 5): RunEffect[] {
    const version = this.state.version
    return this.send(
      ...[0, 1, 2].map((index) => ({
        type: 'evaluationResult' as const,
        worker: 'a',
        version,
        batch: index,
        counts: { ...batch, correctTop1 },
      })),
    )
  }
  kinds(): string {
    return this.effects.map((effect) => effect.type).join(' ')
  }
}

const spansOf = (effects: RunEffect[]): string =>
  effects.flatMap((e) => (e.type === 'assignSpan' ? [`${e.worker}:${String(e.span.first)}+${String(e.span.count)}`] : [])).join(' ')

describe('a step', () => {
  it('waits for the minimum of workers, then gives every leaf to somebody', () => {
    const run = new Driver({ minimumWorkers: 2 })
    run.send({ type: 'started' })
    expect(run.kinds()).toBe('wait')
    run.join('a')
    expect(run.kinds()).toBe('wait')
    run.join('b')
    expect(run.kinds()).toBe('beginStep assignSpan assignSpan')
    expect(spansOf(run.effects)).toBe('a:0+4 b:4+4')
  })

  it('goes on below the minimum to its end; the next one waits with a clear line until somebody joins', () => {
    const run = new Driver({ minimumWorkers: 2, evaluationBatches: 0 })
    run.join('a')
    run.join('b')
    run.send({ type: 'started' })
    expect(spansOf(run.send({ type: 'workerGone', worker: 'b' }))).toBe('a:4+4')
    run.step()
    expect(run.effects.at(-1)).toEqual({ type: 'wait', reason: 'waiting for workers: 1 of at least 2 here' })
    expect(run.state.version).toBe(1)
    run.join('c')
    expect(run.kinds()).toBe('beginStep assignSpan assignSpan')
  })

  it('is committed only when it is reduced, and a late or repeated event changes nothing', () => {
    const run = new Driver()
    run.send({ type: 'started' })
    run.join('a')
    expect(run.send({ type: 'leavesCovered', step: 0, first: 0, count: 8 })).toEqual([])
    run.send({ type: 'stepReduced', step: 0, counts, finite: true })
    expect(run.kinds()).toBe('commit recordStep')
    expect(run.effects[1]).toMatchObject({ version: 1, loss: 1, top1: 0.5, rate: 0.1 })
    expect(run.send({ type: 'stepReduced', step: 0, counts, finite: true })).toEqual([])
    run.send({ type: 'committed', version: 1 })
    expect(run.kinds()).toBe('beginStep assignSpan')
    expect(run.send({ type: 'stepReduced', step: 0, counts, finite: true })).toEqual([])
    expect(run.state.version).toBe(1)
  })

  it('says of the next span that it may be begun early where a step follows at once', () => {
    const hints = (effects: RunEffect[]) => effects.flatMap((effect) => (effect.type === 'assignSpan' ? [effect.hint] : []))
    const run = new Driver()
    run.join('a')
    run.join('b')
    const begin = { begin: true }
    expect(hints(run.send({ type: 'started' }))).toEqual([
      { first: 0, count: 4, ...begin },
      { first: 4, count: 4, ...begin },
    ])
    // the evaluation comes after two steps, the end after four
    const plain = [
      { first: 0, count: 4 },
      { first: 4, count: 4 },
    ]
    expect(hints(run.step())).toEqual(plain)
    run.step()
    expect(hints(run.evaluate()).at(0)).toHaveProperty('begin')
    expect(hints(run.step())).toEqual(plain)
    const audited = new Driver({ audit: { seed: 1, share: 0.5 } })
    audited.join('a')
    expect(hints(audited.send({ type: 'started' })).at(0)).toEqual({ first: 0, count: 8 })
  })

  it('puts what a lost queue held in again, for everybody or for one worker', () => {
    const run = new Driver()
    run.join('a')
    run.join('b')
    run.send({ type: 'started' })
    run.send({ type: 'leavesCovered', step: 0, first: 4, count: 2 })
    expect(spansOf(run.send({ type: 'queueLost' }))).toBe('a:0+4 b:6+2')
    expect(spansOf(run.send({ type: 'queueLost', worker: 'b' }))).toBe('b:6+2')
    expect(spansOf(run.send({ type: 'queueLost', worker: 'nobody' }))).toBe('')
  })

  it('gives the missing leaves of a lost worker to the others, and only those', () => {
    const run = new Driver()
    run.join('a')
    run.join('b')
    run.send({ type: 'started' })
    run.send({ type: 'leavesCovered', step: 0, first: 4, count: 2 })
    run.send({ type: 'workerGone', worker: 'b' })
    expect(spansOf(run.effects)).toBe('a:6+2')
    run.send({ type: 'workerGone', worker: 'a' })
    expect(run.kinds()).toBe('wait')
    run.join('c')
    expect(spansOf(run.effects)).toBe('c:0+4 c:6+2')
  })

  it('ends the run when the loss is not finite, with nothing committed', () => {
    const run = new Driver()
    run.join('a')
    run.send({ type: 'started' })
    run.send({ type: 'stepReduced', step: 0, counts: { ...counts, lossSum: NaN }, finite: true })
    expect(run.kinds()).toBe('dropStep fail')
    expect(run.effects[1]).toMatchObject({
      message: expect.stringMatching(/at step 1 .*there is no checkpoint yet.*nonFinite: skip/) as string,
    })
    expect(run.state.version).toBe(0)
  })

  it('waits for a checkpoint that is being written before it says which one is good', () => {
    const run = new Driver({ evaluationBatches: 0, checkpointEvery: 1 }, 0, 0)
    run.send({ type: 'started' })
    run.join('a')
    expect(run.step()).toContainEqual(expect.objectContaining({ type: 'writeCheckpoint', version: 1 }))
    const failed = run.send({ type: 'stepReduced', step: 1, counts: { ...counts, lossSum: NaN }, finite: false })
    expect(failed.map(({ type }) => type)).toEqual(['dropStep'])
    // nobody is blamed meanwhile, and a stop that comes late changes nothing
    const later = run.send({ type: 'tick', nowMs: 0 }, { type: 'tick', nowMs: 900 }, { type: 'stopRequested', reason: 'SIGINT' })
    expect(later).toEqual([])
    const [end] = run.send({ type: 'checkpointWritten', version: 1 })
    expect(end).toMatchObject({ type: 'fail', message: expect.stringMatching(/at step 2 .*the checkpoint of step 1 is good/) as string })
    expect(run.state.phase).toBe('ended')
  })
})

describe('a step that is not finite, with nonFinite: skip', () => {
  const bad = (step: number): RunEvent => ({
    ...{ type: 'stepReduced', step, counts: { ...counts, lossSum: NaN }, finite: false, origin: 'layer fc1' },
  })

  it('is committed without its update, recorded as such, and the next step is another', () => {
    const run = new Driver({ nonFinite: 'skip', evaluationBatches: 0, steps: 100 })
    run.join('a')
    run.send({ type: 'started' })
    run.send(bad(0))
    expect(run.kinds()).toBe('dropStep skipStep recordStep')
    expect(run.effects[2]).toMatchObject({
      version: 1,
      skipped: 'the loss is no longer finite at step 1 (loss NaN); it began in layer fc1',
    })
    // the word that the version was dropped is of a step that is over
    run.send({ type: 'dropped', version: 1 })
    expect(run.effects).toEqual([])
    run.send({ type: 'committed', version: 1 })
    expect(run.effects[0]).toMatchObject({ type: 'beginStep', step: 1 })
    expect(run.effects[1]).toMatchObject({ type: 'assignSpan', step: 1, drops: 1 })
    run.step()
    expect(run.kinds()).toBe('commit recordStep beginStep assignSpan')
    expect(run.effects[1]).not.toHaveProperty('skipped')
  })

  it('ends the run when ten in a row are not, and not before', () => {
    const run = new Driver({ nonFinite: 'skip', evaluationBatches: 0, steps: 100 }, 0, -1)
    run.join('a')
    run.send({ type: 'started' })
    const skip = (times: number): void => {
      for (let time = 0; time < times; time++) run.send(bad(run.state.version), { type: 'committed', version: run.state.version + 1 })
    }
    skip(9)
    run.step()
    skip(9)
    expect(run.state.version).toBe(19)
    run.send(bad(19))
    expect(run.kinds()).toBe('dropStep fail')
    expect(run.effects[1]).toMatchObject({
      code: 'NON_FINITE',
      message: expect.stringMatching(/began in layer fc1.*10th step in a row/) as string,
    })
  })
})

describe('deadlines', () => {
  it('expels a silent worker and one without progress, but nobody after a jump of our own clock', () => {
    const run = new Driver()
    run.join('a')
    run.join('b')
    run.send({ type: 'started' })
    run.send({ type: 'tick', nowMs: 0 })
    const beat = (worker: string, nowMs: number, progress: boolean): void => {
      run.send({ type: 'workerHeard', worker, progress, nowMs })
    }
    for (let nowMs = 500; nowMs <= 5_000; nowMs += 500) {
      beat('a', nowMs, true)
      if (nowMs <= 4_500) beat('b', nowMs, false)
      expect(run.send({ type: 'tick', nowMs })).toEqual([])
    }
    run.send({ type: 'tick', nowMs: 5_500 })
    expect(run.effects[0]).toMatchObject({ type: 'expelWorker', worker: 'b' })
    expect(spansOf(run.effects)).toBe('a:4+4')
    run.send({ type: 'tick', nowMs: 60_000 })
    expect(run.effects).toEqual([])
    run.send(
      { type: 'tick', nowMs: 60_500 },
      { type: 'tick', nowMs: 61_400 },
      { type: 'tick', nowMs: 62_300 },
      { type: 'tick', nowMs: 63_200 },
    )
    expect(run.effects[0]).toMatchObject({ type: 'expelWorker', worker: 'a' })
  })
})

describe('evaluation', () => {
  it('comes when due, hands out every batch once, and drops the rate at the plateau', () => {
    const run = new Driver({ steps: 100, evaluationEvery: 1 })
    run.join('a')
    run.send({ type: 'started' })
    run.step()
    expect(run.effects.filter((effect) => effect.type === 'assignEvaluation').length).toBeGreaterThan(0)
    run.evaluate(5)
    expect(run.effects.find((effect) => effect.type === 'recordEvaluation')).toMatchObject({
      version: 1,
      best: true,
      metrics: { top1: 0.5, loss: 1 },
    })
    expect(run.kinds()).toContain('writeCheckpoint beginStep')
    run.send({ type: 'checkpointWritten', version: 1 })
    run.step()
    run.evaluate(4)
    expect(run.effects.find((effect) => effect.type === 'learningRateDropped')).toMatchObject({ from: 0.1, to: 0.1 * 0.1 })
    run.step()
    run.evaluate(4)
    expect(run.kinds()).toContain('writeCheckpoint')
    expect(run.kinds()).not.toContain('beginStep')
    run.send({ type: 'checkpointWritten', version: 3 })
    expect(run.effects).toEqual([{ type: 'finish', reason: 'plateau' }])
  })

  it('goes on with the batches of a lost worker', () => {
    const run = new Driver({ evaluationEvery: 1 })
    run.join('a')
    run.join('b')
    run.send({ type: 'started' })
    run.step()
    const before = run.effects.flatMap((e) => (e.type === 'assignEvaluation' && e.worker === 'b' ? [e.batches.first] : []))
    run.send(
      { type: 'workerGone', worker: 'b' },
      ...[0, 2].map((index) => ({ type: 'evaluationResult' as const, worker: 'a', version: 1, batch: index, counts: batch })),
    )
    run.send({ type: 'evaluationResult', worker: 'a', version: 1, batch: 1, counts: batch })
    expect(before.length).toBeGreaterThan(0)
    expect(run.state.phase).toBe('stepping')
  })
})

describe('stopping and resuming', () => {
  it('drops the step in hand, saves what is committed and ends', () => {
    const run = new Driver()
    run.join('a')
    run.send({ type: 'started' })
    run.step()
    run.send({ type: 'stopRequested', reason: 'Ctrl-C' })
    expect(run.kinds()).toBe('withdrawSpan dropStep writeCheckpoint')
    expect(run.send({ type: 'checkpointWritten', version: 1 })).toEqual([{ type: 'finish', reason: 'stopped' }])
  })

  it('evaluates first when it was stopped before an evaluation that was due', () => {
    const run = new Driver({}, 2, 2)
    run.join('a')
    run.send({ type: 'started' })
    expect(run.kinds()).toBe('assignEvaluation')
    run.evaluate(5)
    expect(run.kinds()).toContain('writeCheckpoint')
  })

  it('saves at the end and says so once', () => {
    const run = new Driver({ steps: 1, evaluationBatches: 0 })
    run.join('a')
    run.send({ type: 'started' })
    run.step()
    expect(run.kinds()).toBe('commit recordStep writeCheckpoint')
    expect(run.send({ type: 'checkpointWritten', version: 1 })).toEqual([{ type: 'finish', reason: 'steps' }])
    expect(run.send({ type: 'checkpointWritten', version: 1 })).toEqual([])
  })
})
