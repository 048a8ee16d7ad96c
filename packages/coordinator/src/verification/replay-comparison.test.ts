import { describe, expect, it } from 'vitest'
import { commonInterval, digestsInMetrics, lastStepInMetrics, ReplayComparison, type RecordedDigest } from './replay-comparison.js'

const line = (step: number, stateDigest?: string): string => JSON.stringify({ type: 'step', step, loss: 1, stateDigest })
const step = (number: number, digest: string): RecordedDigest => ({ step: number, of: 'step', digest })
const checkpoint = (number: number, digest: string): RecordedDigest => ({ step: number, of: 'checkpoint', digest })

describe('what a run wrote down', () => {
  const metrics = [
    line(1, 'a'),
    line(2, 'b'),
    '{"type":"evaluation","step":2,"loss":1}',
    line(3),
    line(4, 'd'),
    '{"type":"step","step":5,"stateDi',
  ].join('\n')

  it('is read from the metrics, within the steps asked for, torn lines and steps without a digest left out', () => {
    expect(digestsInMetrics(metrics, 0, 9)).toEqual([step(1, 'a'), step(2, 'b'), step(4, 'd')])
    expect(digestsInMetrics(metrics, 1, 3)).toEqual([step(2, 'b')])
    expect(digestsInMetrics('', 0, 9)).toEqual([])
  })

  it('ends with the newest step', () => {
    expect(lastStepInMetrics(metrics)).toBe(5)
    expect(lastStepInMetrics('')).toBe(0)
  })

  it.each([
    [[], 0],
    [[7], 7],
    [[10, 20, 35], 5],
    [[3, 4], 1],
  ])('%j is hashed again every %i steps', (steps, interval) => {
    expect(commonInterval(steps)).toBe(interval)
  })
})

describe('ReplayComparison', () => {
  it('agrees when all that was recorded is equal', () => {
    const comparison = new ReplayComparison([checkpoint(3, 'C'), step(1, 'a'), step(3, 'c')])
    expect(comparison.take(1, 'a', null)).toEqual([{ ...step(1, 'a'), replayed: 'a', agrees: true }])
    expect(comparison.take(2, 'b', null)).toEqual([])
    expect(comparison.take(3, 'c', 'C')).toHaveLength(2)
    expect(comparison.verdict()).toEqual({ outcome: 'agree', steps: 2, checkpoints: 1, lastStep: 3 })
  })

  it('names the first step that differs and the last that did not, whatever comes after', () => {
    const comparison = new ReplayComparison([step(1, 'a'), step(2, 'b'), step(3, 'c')])
    comparison.take(1, 'a', null)
    comparison.take(2, 'x', null)
    comparison.take(3, 'c', null)
    expect(comparison.verdict()).toEqual({ outcome: 'part', step: 2, of: 'step', digest: 'b', replayed: 'x', agreed: 1 })
  })

  it('sees a checkpoint that differs where the step does not', () => {
    const comparison = new ReplayComparison([step(2, 'b'), checkpoint(2, 'B')])
    comparison.take(2, 'b', 'other')
    expect(comparison.verdict()).toMatchObject({ outcome: 'part', step: 2, of: 'checkpoint', agreed: null })
  })

  it('does not agree to what the replay never reached, nor to nothing', () => {
    const comparison = new ReplayComparison([step(1, 'a'), step(2, 'b')])
    comparison.take(1, 'a', null)
    expect(comparison.verdict()).toMatchObject({ outcome: 'part', step: 2, replayed: null, agreed: 1 })
    expect(new ReplayComparison([]).verdict()).toEqual({ outcome: 'nothing' })
  })
})
