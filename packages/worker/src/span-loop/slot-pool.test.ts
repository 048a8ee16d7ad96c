import { describe, expect, it } from 'vitest'
import { SlotPool } from './slot-pool.js'

describe('SlotPool', () => {
  it('makes slots up to the limit, uses them again, and hands a returned one to whoever waits', async () => {
    const pool = new SlotPool()
    expect([await pool.take(2), await pool.take(2)]).toEqual([0, 1])
    const waiting = pool.take(2)
    pool.give(1)
    expect(await waiting).toBe(1)
    pool.give(0)
    pool.give(1)
    expect(new Set([await pool.take(5), await pool.take(5)])).toEqual(new Set([0, 1]))
    expect(pool.size).toBe(2)
  })
})
