import type { TraceEvent } from '@lockstep/coordinator/trace/trace-events.js'
import { describe, expect, it } from 'vitest'
import { stepOverhead } from './step-overhead.js'

const commit = (step: number, ms: number): TraceEvent => ({
  ph: 'i',
  name: '',
  cat: 'commit',
  pid: 1,
  tid: 0,
  ts: ms * 1000,
  args: { step },
})
const span = (pid: number, step: number, cat: string, name: string, ms: number): TraceEvent => ({
  ...{ ph: 'X', name, cat, pid, tid: 1, ts: 0, dur: ms * 1000, args: { step } },
})

describe('what of a step is not computing', () => {
  it('is what the slower worker’s computing leaves of the time between commits', () => {
    const events = [
      ...[commit(0, 10), commit(1, 20), commit(2, 32), commit(3, 50)],
      ...[span(2, 1, 'compute', 'leaf 0', 4), span(3, 1, 'compute', 'leaf 1', 6), span(3, 1, 'wait', 'wait for a job', 1)],
      ...[span(2, 2, 'compute', 'leaf 0', 6), span(2, 2, 'compute', 'add nodes', 1), span(3, 2, 'compute', 'leaf 1', 5)],
      ...[span(2, 2, 'wait', 'wait for a job', 2), span(2, 2, 'compute', 'set weights', 0.5), span(2, 2, 'compute', 'forward pass', 9)],
      // of step 3 a worker has not told all, so nothing can be said of it
      span(2, 3, 'compute', 'leaf 0', 1),
    ]
    const { partsMs, ...overhead } = stepOverhead(events, { leaves: 2, first: 1, last: 3 })
    expect(overhead).toEqual({ steps: 2, stepMs: 11, computeMs: 6.5, overheadMs: 4.5 })
    expect([...partsMs]).toEqual([
      ['set weights', 0.25],
      ['wait for a job', 1.5],
    ])
    expect(stepOverhead(events, { leaves: 2, first: 3, last: 3 })).toMatchObject({ steps: 0, overheadMs: Number.NaN })
  })
})
