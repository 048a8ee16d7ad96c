import { describe, expect, it } from 'vitest'
import { jobId, queueName, queuePrefix } from './queue-names.js'

describe('names in the queue server', () => {
  it('keeps workers apart whose names differ only in what BullMQ does not allow', () => {
    const names = ['a:b', 'a_b', 'a b', 'a-b', 'a.b', 'ä*b?[', 'a_3a_b'].map((worker) => queueName('0123', worker, 'x'))
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) {
      expect(name).not.toMatch(/[:*?[\]\s]/)
      expect(name.startsWith(queuePrefix('0123'))).toBe(true)
    }
  })

  it('gives the same job the same id and another job another, never an integer', () => {
    const span = { kind: 'span', term: 1, step: 2, first: 3, count: 4, hint: null } as const
    expect(jobId(span)).toBe('span-1-2-3-4')
    expect(jobId({ ...span, hint: { step: 3, first: 0, count: 1 } })).toBe(jobId(span))
    const others = [
      { ...span, term: 2 },
      { ...span, step: 3 },
      { ...span, first: 4 },
      { ...span, count: 5 },
      { kind: 'evaluation', term: 1, version: 2, first: 3, count: 4 } as const,
    ]
    expect(new Set([span, ...others].map(jobId)).size).toBe(6)
  })
})
