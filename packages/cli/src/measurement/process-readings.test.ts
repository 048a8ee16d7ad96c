import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { cpuSecondsOf, parseMemory, parseTimes, readMemory, readTree, treeOf } from './process-readings.js'

const STAT = '17 (a (very) odd) name) S 5 17 17 0 -1 4194560 100 0 0 0 250 50 100 20 20 0 1 0 1000 0 0'

describe('process readings', () => {
  it('reads resident memory and its peak', () => {
    expect(parseMemory('Name:\tnode\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\n')).toEqual({
      residentBytes: 1_024_000,
      peakBytes: 2_048_000,
    })
    expect(parseMemory('').residentBytes).toBeNaN()
  })

  it('reads times behind a name with parentheses, dead children included', () => {
    expect(parseTimes(STAT)).toEqual({ pid: 17, parent: 5, cpuSeconds: 4.2 })
    expect(parseTimes('')).toBeUndefined()
  })

  it('takes descendants and nobody else', () => {
    const times = (pid: number, parent: number) => ({ pid, parent, cpuSeconds: 1 })
    const tree = treeOf([times(1, 0), times(4, 3), times(2, 1), times(3, 2), times(9, 1)], 2)
    expect(tree.map(({ pid }) => pid)).toEqual([2, 3, 4])
    expect(cpuSecondsOf(tree)).toBe(3)
  })

  it('finds a child of this very process', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] })
    try {
      await once(child, 'spawn')
      expect((await readTree(process.pid)).map(({ pid }) => pid)).toContain(child.pid)
      expect((await readMemory(process.pid)).residentBytes).toBeGreaterThan(1e6)
    } finally {
      child.stdin.end()
      await once(child, 'exit')
    }
  })
})
