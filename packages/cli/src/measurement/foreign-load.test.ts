import { describe, expect, it } from 'vitest'
import { parseBusySeconds, readInstant, windowBetween, type Instant } from './foreign-load.js'

function instant(atMs: number, busySeconds: number, ownSeconds: number, stealSeconds: number): Instant {
  return { atMs, busySeconds, ownSeconds, machine: { stealSeconds, pressureSeconds: 0, processors: 2 } }
}

describe('foreign load', () => {
  it('counts busy time without idle, waiting for disks and steal', () => {
    expect(parseBusySeconds('cpu  100 20 50 1000 300 10 20 40 5 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n')).toBe(2)
  })

  it.each([
    ['nobody else', 10, 0, 0, false],
    ['a little', 10.4, 0, 0.02, false],
    ['another process', 13, 0, 0.15, true],
    ['the hypervisor', 10, 1, 0, true],
  ])('%s', (_name, busy, steal, foreign, disturbed) => {
    const window = windowBetween(instant(0, 100, 50, 7), instant(10_000, 100 + busy, 60, 7 + steal))
    expect(window.ownSeconds).toBe(10)
    expect(window.foreign).toBeCloseTo(foreign)
    expect(window.disturbed).toBe(disturbed)
  })

  it('knows our own work for ours', async () => {
    const before = await readInstant()
    let sum = 0
    for (const until = performance.now() + 200; performance.now() < until;) sum += Math.sqrt(sum + 1)
    expect(windowBetween(before, await readInstant()).ownSeconds).toBeGreaterThan(0)
  })
})
