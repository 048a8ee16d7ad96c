import { describe, expect, it } from 'vitest'
import { finishSeconds, planStep, splitLeaves, type Capacity } from './assignment.js'

const workers = (...leafSeconds: number[]): Capacity[] =>
  leafSeconds.map((seconds, index) => ({ worker: `w${String(index)}`, leafSeconds: seconds, backlog: 0 }))
const shown = (spans: readonly { worker: string; first: number; count: number }[]): string =>
  spans.map((span) => `${span.worker}:${String(span.first)}+${String(span.count)}`).join(' ')

describe('splitLeaves', () => {
  it.each([
    ['one worker takes all', 8, workers(1), 'w0:0+8'],
    ['two equal halves are two nodes', 8, workers(1, 1), 'w0:0+4 w1:4+4'],
    ['three workers, whole nodes preferred', 8, workers(1, 1, 1), 'w0:0+2 w1:2+3 w2:5+3'],
    ['nobody idles while there are leaves', 8, workers(1, 1, 1, 1, 1), 'w0:0+1 w1:1+1 w2:2+2 w3:4+2 w4:6+2'],
    ['a worker three times slower gets a quarter', 8, workers(1, 3), 'w0:0+6 w1:6+2'],
    ['more workers than leaves', 2, workers(1, 1, 1), 'w0:0+1 w1:1+1'],
  ])('%s', (_name, leaves, capacities, expected) => {
    const spans = splitLeaves(leaves, { first: 0, count: leaves }, capacities)
    expect(spans.reduce((sum, span) => sum + span.count, 0)).toBe(leaves)
    expect(finishSeconds(spans, capacities)).toBeLessThanOrEqual(finishSeconds(parse(expected), capacities))
    expect(spans.length).toBe(parse(expected).length)
  })

  it('gives the leaves of a lost worker to those with the least in hand', () => {
    const capacities = [
      { worker: 'busy', leafSeconds: 1, backlog: 10 },
      { worker: 'free', leafSeconds: 1, backlog: 0 },
    ]
    expect(shown(splitLeaves(16, { first: 4, count: 4 }, capacities))).toBe('free:4+4')
  })

  it('covers any range exactly once, in order', () => {
    for (let count = 1; count <= 33; count++) {
      for (const capacities of [workers(1), workers(1, 2), workers(0.5, 1, 0.7), workers(1, 1, 1, 1, 9)]) {
        let next = 3
        for (const span of splitLeaves(40, { first: 3, count }, capacities)) {
          expect(span.first).toBe(next)
          next += span.count
        }
        expect(next).toBe(3 + count)
      }
    }
  })
})

describe('planStep', () => {
  it('keeps a plan that noise in the measurements cannot improve much', () => {
    const first = planStep(16, workers(1, 1), [])
    expect(planStep(16, workers(1.04, 0.98), first)).toEqual(first)
  })
  it('moves work when a worker has become slow, gone or new', () => {
    const first = planStep(16, workers(1, 1), [])
    expect(shown(planStep(16, workers(1, 3), first))).toBe('w0:0+12 w1:12+4')
    expect(shown(planStep(16, workers(1), first))).toBe('w0:0+16')
    expect(planStep(16, workers(1, 1, 1), first).length).toBe(3)
  })
})

function parse(text: string): { worker: string; first: number; count: number }[] {
  return text.split(' ').map((part) => {
    const [worker = '', range = ''] = part.split(':')
    const [first = '0', count = '0'] = range.split('+')
    return { worker, first: Number(first), count: Number(count) }
  })
}
