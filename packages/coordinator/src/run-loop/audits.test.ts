import { initialSchedule } from '@lockstep/shared/optimizer/learning-rate.js'
import { auditedLeaves } from '@lockstep/shared/reduction/audited-leaves.js'
import { describe, expect, it } from 'vitest'
import { verdictOf } from './audits.js'
import type { RunEffect } from './run-effect.js'
import type { RunEvent } from './run-event.js'
import { initialRunState, type AuditedLeaf, type RunPlan, type RunState } from './run-state.js'
import { transition } from './transition.js'

const LEAVES = 4
const plan: RunPlan = {
  ...{ leaves: LEAVES, globalBatch: 32, steps: 10, evaluationEvery: null, evaluationBatches: 0, checkpointEvery: 100, minimumWorkers: 1 },
  learningRate: { initial: 0.1, warmupSteps: 0, schedule: { type: 'constant' } },
  audit: { seed: 1, share: 1 },
}
const counts = { samples: 32, correctTop1: 16, correctTop5: 32, lossSum: 32 }

/** A run loop under test, with the averager's part played by hand. */
class Driver {
  state: RunState
  effects: RunEffect[] = []
  constructor(overrides: Partial<RunPlan> = {}, workers: readonly string[] = []) {
    const merged = { ...plan, ...overrides }
    this.state = initialRunState(merged, 0, initialSchedule(merged.learningRate), -1)
    const all: RunEffect[] = []
    for (const worker of workers) all.push(...this.join(worker))
    this.effects = [...all, ...this.send({ type: 'started' })]
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
  join(worker: string, process = `host/${worker}`): RunEffect[] {
    return this.send({ type: 'workerJoined', worker, leafSeconds: 0.1, nowMs: 0, process })
  }
  /** A worker's contribution of a leaf arrives whole. @param counts whether it came first */
  copy(worker: string, leaf: number, { digest = 'honest', first = false } = {}): RunEffect[] {
    const { version: step } = this.state
    const copied = { type: 'leafCopied' as const, step, leaf, from: [worker], digest }
    const covered = { type: 'leavesCovered' as const, step, first: leaf, count: 1 }
    return this.send(...(first ? [covered] : []), { ...copied, counted: false }, ...(first ? [{ ...copied, counted: true }] : []))
  }
  /** Every leaf that anybody was given arrives from it; the owner's comes first. */
  everything(): RunEffect[] {
    const all: RunEffect[] = []
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      const asked = Object.values(this.state.workers).filter(({ audits }) => audits.includes(leaf))
      for (const [index, { worker }] of asked.entries()) all.push(...this.copy(worker, leaf, { first: index === 0 }))
    }
    this.effects = all
    return all
  }
  reduced(lossSum = 32): RunEffect[] {
    return this.send({ type: 'stepReduced', step: this.state.version, counts: { ...counts, lossSum }, finite: Number.isFinite(lossSum) })
  }
  kinds(): string {
    return this.effects.map((effect) => effect.type).join(' ')
  }
  asked(leaf: number): string {
    return Object.values(this.state.workers)
      .flatMap(({ worker, audits }) => (audits.includes(leaf) ? [worker] : []))
      .join(' ')
  }
}

const spansOf = (effects: RunEffect[]): string =>
  effects
    .flatMap((e) => {
      if (e.type !== 'assignSpan') return []
      return [`${e.worker}:${String(e.span.first)}+${String(e.span.count)}${e.audited === undefined ? '' : `(${e.audited.join()})`}`]
    })
    .join(' ')

describe('verdictOf', () => {
  const leaf = (digests: string[], counted: AuditedLeaf['counted'] = null): AuditedLeaf => ({
    ...{ leaf: 0, counted, waived: false },
    copies: digests.map((digest, index) => ({ worker: `w${String(index)}`, process: `p${String(index)}`, digest })),
  })
  const sum = (digest: string, ...from: string[]): AuditedLeaf['counted'] => ({ digest, from })

  it.each([
    { name: 'nothing yet', audit: leaf([]), verdict: { type: 'open', copies: 2 } },
    { name: 'one', audit: leaf(['x']), verdict: { type: 'open', copies: 2 } },
    { name: 'two equal, the sum not whole', audit: leaf(['x', 'x']), verdict: { type: 'open', copies: 2 } },
    { name: 'two equal', audit: leaf(['x', 'x'], sum('x', 'w0')), verdict: { type: 'settled', liars: [] } },
    { name: 'two that differ', audit: leaf(['x', 'y'], sum('x', 'w0')), verdict: { type: 'open', copies: 3 } },
    { name: 'the first is alone', audit: leaf(['x', 'y', 'y'], sum('x', 'w0')), verdict: { type: 'settled', liars: ['w0'] } },
    { name: 'the second is alone', audit: leaf(['x', 'y', 'x'], sum('x', 'w0')), verdict: { type: 'settled', liars: ['w1'] } },
    { name: 'three that differ', audit: leaf(['x', 'y', 'z'], sum('x', 'w0')), verdict: { type: 'open', copies: 4 } },
    { name: 'two are alone', audit: leaf(['x', 'y', 'z', 'z'], sum('x', 'w0')), verdict: { type: 'settled', liars: ['w0', 'w1'] } },
    {
      name: 'a part of one that went differs',
      audit: leaf(['x', 'x'], sum('mixed', 'gone', 'w0')),
      verdict: { type: 'settled', liars: ['gone'] },
    },
  ])('$name', ({ audit, verdict }) => {
    expect(verdictOf(audit)).toEqual(verdict)
  })
})

describe('a step with audits', () => {
  it('gives every audited leaf to two workers, as nodes of their own, and says so to the averager', () => {
    const run = new Driver({}, ['a', 'b', 'c'])
    expect(run.effects[0]).toEqual({ type: 'beginStep', step: 0, rate: 0.1, audited: [0, 1, 2, 3], quarantined: [] })
    for (let leaf = 0; leaf < LEAVES; leaf++) expect(run.asked(leaf).split(' ').length).toBe(2)
    const work = Object.values(run.state.workers).map(({ leaves, audits }) => new Set([...leaves, ...audits]).size)
    expect(Math.max(...work) - Math.min(...work)).toBeLessThanOrEqual(1)
    const owned = run.effects.filter((e) => e.type === 'assignSpan').slice(0, 3)
    expect(spansOf(owned)).toMatch(/^a:0\+\d\(0.*\) b:/)
  })

  it('audits those leaves that seed and share name, and nothing without a share', () => {
    const share = 0.4
    const run = new Driver({ audit: { seed: 5, share } }, ['a', 'b'])
    expect(run.effects[0]).toMatchObject({ audited: auditedLeaves(5, share, 0, LEAVES) })
    const off = new Driver({ audit: { seed: 5, share: 0 } }, ['a', 'b'])
    expect(off.effects[0]).toEqual({ type: 'beginStep', step: 0, rate: 0.1 })
    expect(spansOf(off.effects)).toBe('a:0+2 b:2+2')
  })

  it('is committed when the version is whole and every audit is settled, whichever comes last', () => {
    const run = new Driver({}, ['a', 'b'])
    run.everything()
    expect(run.effects.filter(({ type }) => type === 'auditSettled').length).toBe(LEAVES)
    run.reduced()
    expect(run.kinds()).toBe('commit recordStep')
    const late = new Driver({}, ['a', 'b'])
    for (let leaf = 0; leaf < LEAVES; leaf++) late.copy(leaf < 2 ? 'a' : 'b', leaf, { first: true })
    expect(late.reduced()).toEqual([])
    for (let leaf = 0; leaf < LEAVES - 1; leaf++) late.copy(leaf < 2 ? 'b' : 'a', leaf)
    expect(late.state.version).toBe(0)
    late.copy('a', LEAVES - 1)
    expect(late.kinds()).toBe('auditSettled commit recordStep')
  })

  it('waits for the audits before it believes that a loss is not finite', () => {
    const run = new Driver({}, ['a', 'b', 'c'])
    const [one = '', two = ''] = run.asked(0).split(' ')
    const third = ['a', 'b', 'c'].find((worker) => worker !== one && worker !== two) ?? ''
    run.copy(one, 0, { digest: 'not a number', first: true })
    expect(run.reduced(Number.NaN)).toEqual([])
    run.copy(two, 0)
    run.copy(third, 0)
    expect(run.kinds()).toContain('quarantineWorker dropStep')
    expect(run.kinds()).not.toContain('fail')
  })

  it('ignores copies of another step, of a leaf that is not audited, and one worker twice', () => {
    const run = new Driver({ audit: { seed: 5, share: 0.4 } }, ['a', 'b'])
    const [leaf = 0] = auditedLeaves(5, 0.4, 0, LEAVES)
    const other = [0, 1, 2, 3].find((number) => !auditedLeaves(5, 0.4, 0, LEAVES).includes(number)) ?? 0
    run.copy('a', leaf, { first: true })
    const event = { type: 'leafCopied' as const, step: 0, leaf, from: ['b'], counted: false, digest: 'honest' }
    expect(run.send({ ...event, step: 1 }, { ...event, leaf: other }, { ...event, from: ['a'] })).toEqual([])
    expect(run.send(event).map(({ type }) => type)).toEqual(['auditSettled'])
  })
})

describe('workers that go', () => {
  it('has the copy of a lost auditor made by another, never by who made the first', () => {
    const run = new Driver({}, ['a', 'b', 'c'])
    const [owner = '', auditor = ''] = run.asked(0).split(' ')
    run.copy(owner, 0, { first: true })
    run.send({ type: 'workerGone', worker: auditor })
    const [next] = ['a', 'b', 'c'].filter((worker) => worker !== owner && worker !== auditor)
    expect(run.asked(0)).toBe(next)
  })

  it('has the copy of a lost owner made by another although the leaf is covered', () => {
    const run = new Driver({}, ['a', 'b', 'c'])
    const [owner = '', auditor = ''] = run.asked(0).split(' ')
    run.copy(auditor, 0, { first: true })
    expect(run.asked(0)).toBe(owner)
    run.send({ type: 'workerGone', worker: owner })
    expect(run.asked(0)).not.toBe('')
    expect(run.asked(0)).not.toBe(auditor)
  })

  it('does not take the same process for another witness when it joins again', () => {
    const run = new Driver({}, ['a', 'b'])
    run.copy('a', 0, { first: true })
    run.send({ type: 'workerGone', worker: 'a' })
    run.join('c', 'host/a')
    run.send({ type: 'workerGone', worker: 'b' })
    expect(run.asked(0)).toBe('')
    run.join('d')
    expect([run.asked(0), run.asked(1)]).toEqual(['d', 'c d'])
  })

  it('goes on without audits when one process is left, says so once, and audits again with a second', () => {
    const run = new Driver({}, ['a', 'b'])
    run.copy('a', 0, { first: true })
    run.send({ type: 'workerGone', worker: 'b' })
    expect(run.effects.filter(({ type }) => type === 'warn').length).toBe(1)
    // what was audited stays a node of its own: the averager still expects that
    expect(spansOf(run.effects)).toMatch(/\(\d/)
    for (let leaf = 1; leaf < LEAVES; leaf++) run.copy('a', leaf, { first: true })
    expect(run.reduced().map(({ type }) => type)).toEqual(['commit', 'recordStep'])
    run.send({ type: 'committed', version: 1 })
    expect(run.effects[0]).toEqual({ type: 'beginStep', step: 1, rate: 0.1 })
    expect(run.kinds()).not.toContain('warn')
    run.join('b')
    run.reduced()
    run.send({ type: 'committed', version: 2 })
    expect(run.effects[0]).toMatchObject({ audited: [0, 1, 2, 3] })
  })

  it('commits when the last who could have been compared goes after everything is there', () => {
    const run = new Driver({}, ['a', 'b'])
    for (let leaf = 0; leaf < LEAVES; leaf++) run.copy('a', leaf, { first: true })
    expect(run.reduced()).toEqual([])
    run.send({ type: 'workerGone', worker: 'b' })
    expect(run.kinds()).toBe('warn commit recordStep')
  })

  it('loses an auditor that hangs at its deadline although all its leaves are covered', () => {
    const run = new Driver({}, ['a', 'b'])
    run.send({ type: 'tick', nowMs: 0 })
    for (let leaf = 0; leaf < LEAVES; leaf++) run.copy('a', leaf, { first: true })
    for (let nowMs = 500; nowMs <= 5_500; nowMs += 500) {
      run.send({ type: 'workerHeard', worker: 'a', progress: true, nowMs }, { type: 'workerHeard', worker: 'b', progress: false, nowMs })
      run.send({ type: 'tick', nowMs })
    }
    expect(run.effects[0]).toMatchObject({ type: 'expelWorker', worker: 'b' })
  })

  it('puts audits into the queue again when it was lost', () => {
    const run = new Driver({}, ['a', 'b'])
    run.send({ type: 'queueLost' })
    expect(spansOf(run.effects)).toBe('a:0+4(0,1,2,3) b:0+4(0,1,2,3)')
  })
})

describe('different bits', () => {
  /** Leaf 0 has come from two workers with different bits; `liar` is one of them. */
  function quarrel(workers: readonly string[], liarIsFirst: boolean) {
    const run = new Driver({}, workers)
    const [first = '', second = ''] = run.asked(0).split(' ')
    run.copy(first, 0, { first: true, digest: liarIsFirst ? 'wrong' : 'honest' })
    run.copy(second, 0, { digest: liarIsFirst ? 'honest' : 'wrong' })
    const [liar, honest] = liarIsFirst ? [first, second] : [second, first]
    return { run, liar, honest, told: run.effects }
  }

  it.each([true, false])('asks a third worker, quarantines who is alone and does the step again without it (first: %s)', (liarIsFirst) => {
    const { run, liar, honest, told } = quarrel(['a', 'b', 'c'], liarIsFirst)
    expect(told[0]).toMatchObject({ type: 'auditDiffers', step: 0, leaf: 0 })
    const third = ['a', 'b', 'c'].find((worker) => worker !== liar && worker !== honest) ?? ''
    expect(run.asked(0)).toBe(third)
    run.copy(third, 0)
    expect(run.effects).toEqual([
      { type: 'auditSettled', step: 0, leaf: 0, equal: false },
      { type: 'quarantineWorker', worker: liar, step: 0, leaf: 0 },
      { type: 'dropStep', version: 1, drops: 1 },
    ])
    // whatever is still on its way from the former attempt changes nothing
    expect(run.reduced()).toEqual([])
    expect(run.copy(honest, 1, { first: true })).toEqual([])
    run.send({ type: 'workerGone', worker: liar })
    expect(run.effects).toEqual([])
    run.send({ type: 'dropped', version: 1 })
    expect(run.effects[0]).toEqual({ type: 'beginStep', step: 0, rate: 0.1, audited: [0, 1, 2, 3], quarantined: [liar] })
    expect(run.effects.every((effect) => effect.type !== 'assignSpan' || (effect.drops === 1 && effect.worker !== liar))).toBe(true)
    expect(Object.keys(run.state.workers)).not.toContain(liar)
    run.everything()
    run.reduced()
    expect(run.kinds()).toBe('commit recordStep')
  })

  it('has a referee started when there are only two, once, and goes on when it is there', () => {
    const { run, liar, told } = quarrel(['a', 'b'], true)
    expect(told.map(({ type }) => type)).toEqual(['auditDiffers', 'startWorker', 'wait'])
    expect(told[1]).toEqual({ type: 'startWorker', role: 'referee' })
    run.everything()
    expect(run.kinds()).not.toContain('startWorker')
    expect(run.reduced()).toEqual([])
    run.join('referee')
    expect(spansOf(run.effects)).toBe('referee:0+1(0)')
    run.copy('referee', 0)
    expect(run.effects[1]).toEqual({ type: 'quarantineWorker', worker: liar, step: 0, leaf: 0 })
    run.send({ type: 'dropped', version: 1 })
    expect(Object.keys(run.state.workers).length).toBe(2)
    expect(run.kinds()).toMatch(/^beginStep assignSpan/)
  })

  it('asks for another referee when the first ended before it joined, or left before it was done', () => {
    const { run } = quarrel(['a', 'b'], true)
    run.send({ type: 'refereeGone' })
    expect(run.kinds()).toBe('startWorker wait')
    run.join('referee')
    run.send({ type: 'workerGone', worker: 'referee' })
    expect(run.kinds()).toContain('startWorker')
  })

  it('finds a liar that is gone already', () => {
    const { run, liar } = quarrel(['a', 'b', 'c'], true)
    run.send({ type: 'workerGone', worker: liar })
    run.copy(run.asked(0), 0)
    expect(run.effects).toContainEqual({ type: 'quarantineWorker', worker: liar, step: 0, leaf: 0 })
    expect(run.kinds()).toContain('dropStep')
  })

  it('does not commit what a worker left half done with bits that two others do not have', () => {
    const run = new Driver({}, ['a', 'b', 'c'])
    const [one = '', two = ''] = run.asked(0).split(' ')
    run.copy(one, 0)
    run.copy(two, 0)
    const third = ['a', 'b', 'c'].find((worker) => worker !== one && worker !== two) ?? ''
    run.send({ type: 'leafCopied', step: 0, leaf: 0, from: [third, one], counted: true, digest: 'mixed' })
    expect(run.effects).toContainEqual({ type: 'quarantineWorker', worker: third, step: 0, leaf: 0 })
  })

  it('has those replaced without whom there are too few', () => {
    const run = new Driver({ minimumWorkers: 3 }, ['a', 'b', 'c'])
    const [liar = '', honest = ''] = run.asked(0).split(' ')
    run.copy(liar, 0, { digest: 'wrong', first: true })
    run.copy(honest, 0)
    run.copy(run.asked(0), 0)
    expect(run.effects).toContainEqual({ type: 'startWorker', role: 'replacement' })
    run.send({ type: 'dropped', version: 1 })
    expect(run.kinds()).toBe('wait')
    run.join('d')
    expect(run.kinds()).toMatch(/^beginStep/)
  })

  it('can be stopped in the middle of a quarrel, and between the drop and the new beginning', () => {
    const { run } = quarrel(['a', 'b'], true)
    run.send({ type: 'stopRequested', reason: 'Ctrl-C' })
    expect(run.kinds()).toMatch(/dropStep/)
    expect(run.state.phase).toBe('saving')
    const other = quarrel(['a', 'b', 'c'], true)
    other.run.copy(other.run.asked(0), 0)
    expect(other.run.send({ type: 'stopRequested', reason: 'Ctrl-C' })).toEqual([])
    other.run.send({ type: 'dropped', version: 1 })
    expect(other.run.state.phase).toBe('saving')
  })
})
