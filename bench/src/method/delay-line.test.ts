import { describe, expect, it } from 'vitest'
import { DelayLine } from './delay-line.js'

const piece = (value: number, bytes = 1000): Buffer => Buffer.alloc(bytes, value)

/** First bytes of all that has arrived by then. */
function arrived(line: DelayLine, nowMs: number): number[] {
  const values: number[] = []
  for (let data = line.take(nowMs); data !== undefined; data = line.take(nowMs)) values.push(data[0] ?? -1)
  return values
}

describe('DelayLine', () => {
  it('keeps every piece for the delay, in order', () => {
    const line = new DelayLine({ delayMs: 10, bytesPerSecond: Infinity, capacityBytes: 1e6 })
    expect(line.nextMs).toBeUndefined()
    line.put(piece(1), 100)
    line.put(piece(2), 100)
    line.put(piece(3), 104)
    expect(line.nextMs).toBe(110)
    expect(arrived(line, 109.9)).toEqual([])
    expect(arrived(line, 110)).toEqual([1, 2])
    expect(arrived(line, 113)).toEqual([])
    expect(arrived(line, 200)).toEqual([3])
  })

  it('lets pieces enter at its rate, and an idle time is not saved up', () => {
    const line = new DelayLine({ delayMs: 10, bytesPerSecond: 1_000_000, capacityBytes: 1e6 })
    line.put(piece(1), 100)
    line.put(piece(2), 100)
    expect([arrived(line, 110.9), arrived(line, 111), arrived(line, 111.9), arrived(line, 112)]).toEqual([[], [1], [], [2]])
    line.put(piece(3), 500)
    line.put(piece(4), 500)
    expect([arrived(line, 511), arrived(line, 511.9), arrived(line, 512)]).toEqual([[3], [], [4]])
  })

  it('is full from its capacity on, until something arrives', () => {
    const line = new DelayLine({ delayMs: 10, bytesPerSecond: Infinity, capacityBytes: 3000 })
    for (const value of [1, 2]) line.put(piece(value), 0)
    expect([line.isFull, line.heldBytes]).toEqual([false, 2000])
    line.put(piece(3), 0)
    expect(line.isFull).toBe(true)
    line.take(10)
    expect([line.isFull, line.heldBytes, line.mostHeldBytes]).toEqual([false, 2000, 3000])
  })

  it('keeps the order over thousands of pieces', () => {
    const line = new DelayLine({ delayMs: 1, bytesPerSecond: Infinity, capacityBytes: 1e9 })
    const values: number[] = []
    for (let index = 0; index < 5000; index++) {
      line.put(piece(index % 251, 1), index)
      if (index % 3 === 0) values.push(...arrived(line, index - 1500))
    }
    values.push(...arrived(line, Infinity))
    expect(values).toEqual(Array.from({ length: 5000 }, (_, index) => index % 251))
    expect(line.heldBytes).toBe(0)
  })
})
