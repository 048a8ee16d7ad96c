import { describe, expect, it } from 'vitest'
import { auditedLeaves } from './audited-leaves.js'

const LEAVES = 64

describe('auditedLeaves', () => {
  it('is a function of seed, step and share, and each of them matters', () => {
    expect(auditedLeaves(1, 0.3, 7, LEAVES)).toEqual(auditedLeaves(1, 0.3, 7, LEAVES))
    expect(auditedLeaves(1, 0.3, 8, LEAVES)).not.toEqual(auditedLeaves(1, 0.3, 7, LEAVES))
    expect(auditedLeaves(2, 0.3, 7, LEAVES)).not.toEqual(auditedLeaves(1, 0.3, 7, LEAVES))
    expect(auditedLeaves(1, 0.3, 7 + 2 ** 32, LEAVES)).not.toEqual(auditedLeaves(1, 0.3, 7, LEAVES))
  })

  it('chooses nothing, everything, and what was chosen at a smaller share', () => {
    expect(auditedLeaves(1, 0, 7, LEAVES)).toEqual([])
    expect(auditedLeaves(1, 1, 7, LEAVES)).toEqual(Array.from({ length: LEAVES }, (_, leaf) => leaf))
    expect(auditedLeaves(1, 0.5, 7, LEAVES)).toEqual(expect.arrayContaining(auditedLeaves(1, 0.2, 7, LEAVES)))
  })

  it('meets the share over many steps, at every leaf alike', () => {
    const steps = 2_000
    const times = new Array<number>(LEAVES).fill(0)
    for (let step = 0; step < steps; step++) for (const leaf of auditedLeaves(3, 0.02, step, LEAVES)) times[leaf] = (times[leaf] ?? 0) + 1
    const all = times.reduce((sum, count) => sum + count, 0)
    // five standard deviations of a binomial
    expect(Math.abs(all - 0.02 * steps * LEAVES)).toBeLessThan(5 * Math.sqrt(0.02 * 0.98 * steps * LEAVES))
    for (const count of times) expect(Math.abs(count - 0.02 * steps)).toBeLessThan(5 * Math.sqrt(0.02 * 0.98 * steps))
  })
})
