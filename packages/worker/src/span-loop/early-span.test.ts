import type { Job, SpanJob } from '@lockstep/shared/protocol/jobs.js'
import { describe, expect, it } from 'vitest'
import { EarlySpan } from './early-span.js'

const expected: SpanJob = { kind: 'span', term: 3, step: 7, first: 2, count: 4, hint: null }

describe('EarlySpan', () => {
  it('is wanted when its job comes, and passes on what follows it', async () => {
    const early = new EarlySpan(expected)
    const hints: unknown[] = []
    early.onTaken((hint) => hints.push(hint))
    const hint = { step: 8, first: 0, count: 6, begin: true } as const
    expect(early.take({ ...expected, hint, drops: 2 })).toBe(true)
    expect(hints).toEqual([hint])
    expect(await early.wanted).toBe(true)
  })

  it.each<[string, Job]>([
    ['another term', { ...expected, term: 4 }],
    ['another step', { ...expected, step: 8 }],
    ['another first leaf', { ...expected, first: 1 }],
    ['another number of leaves', { ...expected, count: 3 }],
    ['leaves that are sent apart', { ...expected, audited: [2] }],
    ['an evaluation', { kind: 'evaluation', term: 3, version: 7, first: 2, count: 4 }],
  ])('does not take a job with %s', async (_name, job) => {
    const early = new EarlySpan(expected)
    expect(early.take(job)).toBe(false)
    early.refuse()
    expect(await early.wanted).toBe(false)
  })

  it('takes nothing once it was given up', async () => {
    const early = new EarlySpan(expected)
    early.refuse()
    expect(early.take(expected)).toBe(false)
    expect(await early.wanted).toBe(false)
  })
})
