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

  it('keeps what is lent until its step is over, one slot at a time', async () => {
    const pool = new SlotPool()
    const slot = await pool.take(2)
    expect(pool.mayLend).toBe(true)
    pool.lend(slot, 7)
    expect(pool.mayLend).toBe(false)
    const other = await pool.take(2)
    expect(other).not.toBe(slot)
    const waiting = pool.take(2)
    expect(pool.takeBack(7)).toEqual([])
    expect(pool.takeBack(8)).toEqual([slot])
    expect(await waiting).toBe(slot)
    pool.lend(slot, 9)
    expect(pool.takeBack()).toEqual([slot])
    expect(pool.size).toBe(2)
  })
})
