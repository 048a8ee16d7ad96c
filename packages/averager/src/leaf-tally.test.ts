import { describe, expect, it } from 'vitest'
import { LeafTally } from './leaf-tally.js'

describe('leaf tally', () => {
  it('tells each leaf once, when its last part has it', () => {
    const tally = new LeafTally(8, 2)
    expect(tally.add({ first: 0, count: 4 })).toEqual([])
    expect(tally.add({ first: 2, count: 4 })).toEqual([{ first: 2, count: 2 }])
    expect(tally.add({ first: 6, count: 2 })).toEqual([])
    expect(tally.add({ first: 0, count: 2 })).toEqual([{ first: 0, count: 2 }])
    expect(tally.add({ first: 4, count: 4 })).toEqual([{ first: 4, count: 4 }])
  })

  it('tells separate ranges separately', () => {
    const tally = new LeafTally(6, 2)
    tally.add({ first: 0, count: 2 })
    tally.add({ first: 4, count: 2 })
    expect(tally.add({ first: 0, count: 6 })).toEqual([
      { first: 0, count: 2 },
      { first: 4, count: 2 },
    ])
  })

  it('starts again for the next step', () => {
    const tally = new LeafTally(2, 1)
    expect(tally.add({ first: 0, count: 2 })).toHaveLength(1)
    tally.clear()
    expect(tally.add({ first: 0, count: 2 })).toHaveLength(1)
  })
})
