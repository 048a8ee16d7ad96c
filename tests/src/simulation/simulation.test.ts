import { describe, expect, it } from 'vitest'
import { MUTATIONS, type Mutation } from './mutation.js'
import { describeFault, FAULT_KINDS, LASTING_KIND, scenarioOf } from './scenario.js'
import { shrink } from './shrink.js'
import { simulate } from './simulation.js'

/** The short form; `node tests/dist/simulation/main.js --seeds 10000` is the long one. */
const SEEDS = 300

describe('disturbed histories', () => {
  it(`end with the undisturbed run's bits, ${String(SEEDS)} seeds`, () => {
    const counts = new Map<string, number>()
    for (let seed = 0; seed < SEEDS; seed++) {
      const outcome = simulate(scenarioOf(seed))
      if (outcome.failure !== undefined) expect(shrink(scenarioOf(seed)).outcome).toMatchObject({ failure: undefined })
      for (const [what, count] of outcome.counts) counts.set(what, (counts.get(what) ?? 0) + count)
    }
    // they are disturbed indeed: every fault, every answer to a contribution, and everything the run loop can do
    for (const kind of [...FAULT_KINDS, LASTING_KIND]) expect([kind, counts.get(`fault ${kind}`) ?? 0]).not.toEqual([kind, 0])
    for (const outcome of ['ACCEPTED', 'DUPLICATE', 'OTHER_TERM', 'PAST_STEP', 'FUTURE_STEP']) {
      expect([outcome, counts.get(`contribution ${outcome}`) ?? 0]).not.toEqual([outcome, 0])
    }
    for (const effect of [
      'expelWorker',
      'withdrawSpan',
      'dropStep',
      'skipStep',
      'reportStraggler',
      'learningRateDropped',
      'recordEvaluation',
      'writeCheckpoint',
    ]) {
      expect([effect, counts.get(`effect ${effect}`) ?? 0]).not.toEqual([effect, 0])
    }
  })

  it('are the same every time', () => {
    const first = simulate(scenarioOf(11), { noted: true })
    expect(simulate(scenarioOf(11), { noted: true })).toEqual(first)
    expect(first.notes.length).toBeGreaterThan(20)
  })
})

/** What a planted bug is caught by. */
const CAUGHT: Record<Mutation, RegExp> = {
  acceptOldTerm: /of term \d+ is taken in term|an answer from term/,
  addOverlapping: /step \d+, chunk \d+: (a sum stands|leaf \d+)/,
  commitEarly: /is committed before chunk|is not there|was not told as covered/,
  dropBeforeCommit: /version \d+ is not there/,
}

describe('planted bugs', () => {
  it.each(MUTATIONS)('%s is caught, and shrunk', (mutation) => {
    let seed = 0
    while (seed < SEEDS && simulate(scenarioOf(seed), { mutation }).failure === undefined) seed++
    expect(seed).toBeLessThan(SEEDS)
    const whole = scenarioOf(seed)
    const { scenario, outcome } = shrink(whole, mutation)
    expect(outcome.failure?.message).toMatch(CAUGHT[mutation])
    expect(scenario.faults.length).toBeLessThanOrEqual(whole.faults.length)
    expect(simulate(scenario).failure).toBeUndefined()
    expect(outcome.notes.length).toBeGreaterThan(0)
  })

  it('faults read as sentences', () => {
    for (const kind of [...FAULT_KINDS, LASTING_KIND])
      expect(describeFault({ kind, atMs: 1, forMs: 2, worker: 3, slice: 0, factor: 2 })).toMatch(/ (at|from) 1 ms/)
  })
})
