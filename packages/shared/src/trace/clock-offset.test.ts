import { describe, expect, it } from 'vitest'
import { ClockOffset } from './clock-offset.js'

describe('ClockOffset', () => {
  it('knows nothing before the first round trip', () => {
    expect(new ClockOffset().offsetUs).toBeUndefined()
  })

  it('takes the middle of a round trip', () => {
    const offset = new ClockOffset()
    offset.add(100, 5_150, 200)
    expect(offset.offsetUs).toBe(5_000)
  })

  it('believes the shortest round trip, whenever it was', () => {
    const offset = new ClockOffset()
    offset.add(0, 5_900, 1_000)
    offset.add(2_000, 7_005, 2_010)
    offset.add(3_000, 8_100, 4_000)
    expect(offset.offsetUs).toBe(5_000)
  })

  it('forgets what is old, since clocks drift', () => {
    const offset = new ClockOffset()
    offset.add(0, 1_000, 2)
    for (let index = 0; index < 32; index++) offset.add(index * 1_000, index * 1_000 + 3_005, index * 1_000 + 10)
    expect(offset.offsetUs).toBe(3_000)
  })

  it('passes over an answer from before the question', () => {
    const offset = new ClockOffset()
    offset.add(10, 1_000, 5)
    expect(offset.offsetUs).toBeUndefined()
  })
})
