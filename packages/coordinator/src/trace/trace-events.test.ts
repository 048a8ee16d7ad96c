import { describe, expect, it } from 'vitest'
import type { OwnedSpan } from './span-store.js'
import { COORDINATOR, traceEvents, traceText, type Moment, type TraceEvent } from './trace-events.js'

const span = (track: string, startUs: number, endUs: number, name = 'x'): OwnedSpan => ({
  ...{ process: 2, track, kind: 'compute', name, step: 3, startUs, durationUs: endUs - startUs },
})

/** [tid, ts, dur] of every span. */
function placesOf(events: readonly TraceEvent[]): unknown[] {
  return events.filter(({ ph }) => ph === 'X').map(({ tid, ts, dur }) => [tid, ts, dur])
}

const WORKER = { number: 2, name: 'worker-1' }

describe('traceEvents', () => {
  it('counts from the first moment and names processes and threads', () => {
    const commit: Moment = { name: 'commit of version 4', kind: 'commit', atUs: 900, args: { step: 3 } }
    const events = traceEvents([{ number: COORDINATOR, name: 'coordinator' }, WORKER], [span('job', 1000, 1500.5, 'step 3')], [commit])
    expect(events).toContainEqual({ ph: 'M', name: 'process_name', pid: 2, tid: 0, args: { name: 'worker-1' } })
    expect(events).toContainEqual({ ph: 'M', name: 'thread_name', pid: 2, tid: 1, args: { name: 'job' } })
    expect(events).toContainEqual({
      ...{ ph: 'X', name: 'step 3', cat: 'compute', pid: 2, tid: 1, ts: 100, dur: 500.5, args: { step: 3 } },
    })
    expect(events.at(-1)).toEqual({
      ...{ ph: 'i', s: 'g', name: 'commit of version 4', cat: 'commit', pid: 1, tid: 0, ts: 0, args: { step: 3 } },
    })
  })

  it('nests what lies within, the longer one outside', () => {
    const events = traceEvents([WORKER], [span('job', 0, 4), span('job', 0, 10), span('job', 5, 10), span('job', 10, 12)], [])
    expect(placesOf(events)).toEqual([
      [1, 0, 10],
      [1, 0, 4],
      [1, 5, 5],
      [1, 10, 2],
    ])
  })

  it('gives a lane of its own to what overlaps', () => {
    const events = traceEvents([WORKER], [span('job', 0, 10), span('job', 5, 15)], [])
    expect(placesOf(events)).toEqual([
      [1, 0, 10],
      [2, 5, 10],
    ])
  })

  it('nests nothing where neighbours in time have nothing to do with each other', () => {
    const events = traceEvents([WORKER], [span('load', 0, 10), span('load', 2, 4), span('load', 5, 6)], [])
    expect(placesOf(events).map((place) => (place as number[])[0])).toEqual([1, 2, 2])
  })

  it('is JSON', () => {
    const parsed = JSON.parse(traceText(traceEvents([WORKER], [span('job', 0, 1, '"\n')], []), { run: 'r' })) as {
      traceEvents: TraceEvent[]
    }
    expect(parsed.traceEvents.at(-1)?.name).toBe('"\n')
    expect(JSON.parse(traceText([], {}))).toMatchObject({ traceEvents: [] })
  })
})
