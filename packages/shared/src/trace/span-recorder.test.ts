import { describe, expect, it } from 'vitest'
import type { SpanSubject } from './span.js'
import { SpanRecorder } from './span-recorder.js'

const about = (step: number, kind: SpanSubject['kind'] = 'load'): SpanSubject => ({ track: 'a', kind, name: 'b', step })

describe('SpanRecorder', () => {
  it('keeps nothing until it is told to', async () => {
    const recorder = new SpanRecorder(4)
    recorder.add(about(0), 1, 2)
    expect(recorder.now()).toBe(0)
    expect(await recorder.time(about(0), () => Promise.resolve(7))).toBe(7)
    expect(recorder.take()).toEqual([])
  })

  it('keeps the newest', () => {
    const recorder = new SpanRecorder(3)
    recorder.record(10)
    for (let step = 0; step < 20; step++) recorder.add(about(step), 1, 2)
    expect(recorder.take().map(({ step }) => step)).toEqual([17, 18, 19])
    expect(recorder.take()).toEqual([])
  })

  it('keeps the steps asked for', () => {
    const recorder = new SpanRecorder(8)
    recorder.record([2, 3])
    for (let step = 0; step < 6; step++) recorder.add(about(step), 1, 3)
    expect(recorder.take()).toEqual([2, 3].map((step) => ({ ...about(step), startUs: 1, durationUs: 2 })))
  })

  it('leaves out waits that are none', () => {
    const recorder = new SpanRecorder(8)
    recorder.record(10)
    recorder.add(about(0, 'wait'), 10, 29)
    recorder.add(about(1, 'wait'), 10, 31)
    expect(recorder.take().map(({ step }) => step)).toEqual([1])
  })

  it('measures what fails as well', async () => {
    const recorder = new SpanRecorder(8)
    recorder.record(10)
    await expect(recorder.time(about(0), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(recorder.take()).toHaveLength(1)
  })
})
