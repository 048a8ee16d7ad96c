import { describe, expect, it } from 'vitest'
import { SpanStore, type OwnedSpan } from './span-store.js'

const span = (step: number, startUs = step): OwnedSpan => ({
  ...{ process: 1, track: 'a', kind: 'load', name: 'b', step, startUs, durationUs: 1 },
})

function stepsOf(store: SpanStore): number[] {
  return [...store.all()].map(({ step }) => step)
}

describe('SpanStore', () => {
  it('keeps the newest steps', () => {
    const store = new SpanStore(3)
    for (let step = 0; step < 10; step++) store.add(span(step))
    expect(stepsOf(store)).toEqual([7, 8, 9])
    expect(store.dropped).toBe(7)
  })

  it('takes nothing of a step that has gone', () => {
    const store = new SpanStore(2)
    for (const step of [1, 2, 3, 1]) store.add(span(step))
    expect(stepsOf(store)).toEqual([2, 3])
    expect(store.dropped).toBe(2)
  })

  it('keeps a range of steps, whatever comes after', () => {
    const store = new SpanStore([2, 4])
    for (let step = 0; step < 10; step++) store.add(span(step))
    expect(stepsOf(store)).toEqual([2, 3, 4])
    expect(store.dropped).toBe(0)
  })

  it('drops whole steps when there are too many spans', () => {
    const store = new SpanStore(100, 5)
    for (const step of [0, 0, 0, 1, 1, 2]) store.add(span(step))
    expect(stepsOf(store)).toEqual([1, 1, 2])
    expect(store.dropped).toBe(3)
  })

  it('bounds a single step as well', () => {
    const store = new SpanStore(100, 5)
    for (let index = 0; index < 9; index++) store.add(span(0, index))
    expect(stepsOf(store)).toHaveLength(5)
    store.add(span(1))
    expect(stepsOf(store)).toEqual([1])
  })
})
