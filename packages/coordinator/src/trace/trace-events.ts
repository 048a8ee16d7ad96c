import type { OwnedSpan } from './span-store.js'

/** One event of a trace file in Chrome's format; times in microseconds. */
export interface TraceEvent {
  readonly ph: 'X' | 'i' | 'M'
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly ts?: number
  readonly dur?: number
  readonly cat?: string
  readonly s?: 'g' | 'p' | 't'
  readonly args?: Readonly<Record<string, string | number>>
}

/** Something that happened at one moment of the coordinator's clock. */
export interface Moment {
  readonly name: string
  readonly kind: 'commit' | 'fault' | 'member'
  readonly atUs: number
  readonly args: Readonly<Record<string, string | number>>
}

/** A process as the trace shows it; the number is its `pid` there. */
export interface TracedProcess {
  readonly number: number
  readonly name: string
}

/** The coordinator's own number. */
export const COORDINATOR = 1

/** Tracks whose spans lie within each other. Elsewhere neighbours in time that overlap get lanes of their own. */
const NESTING = /^(job|compute|slice \d+)$/

interface Lane {
  readonly tid: number
  /** Ends of the spans that are open at the newest start, outermost first. */
  readonly open: number[]
}

/**
 * Spans and moments as the events of a trace. Times are counted from the first of them. A thread of the trace is a lane of a
 * track: its spans lie within or behind each other, as viewers demand.
 */
export function traceEvents(processes: readonly TracedProcess[], spans: readonly OwnedSpan[], moments: readonly Moment[]): TraceEvent[] {
  const originUs = Math.min(...spans.map(({ startUs }) => startUs), ...moments.map(({ atUs }) => atUs))
  const ts = (atUs: number): number => Math.round((atUs - originUs) * 1000) / 1000
  const events: TraceEvent[] = []
  for (const { number, name } of processes) {
    events.push({ ph: 'M', name: 'process_name', pid: number, tid: 0, args: { name } })
    events.push({ ph: 'M', name: 'process_sort_index', pid: number, tid: 0, args: { sort_index: number } })
    const own = spans.filter(({ process }) => process === number)
    let nextTid = 1
    for (const track of [...new Set(own.map((span) => span.track))].sort()) {
      const lanes: Lane[] = []
      // of two that begin together the longer one lies outside
      const inOrder = own.filter((span) => span.track === track).sort((a, b) => a.startUs - b.startUs || b.durationUs - a.durationUs)
      for (const span of inOrder) {
        const start = ts(span.startUs)
        const end = ts(span.startUs + span.durationUs)
        let lane = lanes.find((one) => fits(one, start, end, NESTING.test(track)))
        if (lane === undefined) {
          lane = { tid: nextTid++, open: [] }
          lanes.push(lane)
          const name = lanes.length === 1 ? track : `${track} (${String(lanes.length)})`
          events.push({ ph: 'M', name: 'thread_name', pid: number, tid: lane.tid, args: { name } })
        }
        lane.open.push(end)
        const dur = Math.round((end - start) * 1000) / 1000
        events.push({
          ...{ ph: 'X', name: span.name, cat: span.kind, pid: number, tid: lane.tid, ts: start, dur },
          args: { step: span.step },
        })
      }
    }
  }
  for (const { name, kind, atUs, args } of moments)
    events.push({ ph: 'i', s: 'g', name, cat: kind, pid: COORDINATOR, tid: 0, ts: ts(atUs), args })
  return events
}

/** Whether a span that begins now finds place in a lane; what is over there is closed. */
function fits(lane: Lane, start: number, end: number, nests: boolean): boolean {
  let last = lane.open.at(-1)
  while (last !== undefined && last <= start) {
    lane.open.pop()
    last = lane.open.at(-1)
  }
  return last === undefined || (nests && end <= last)
}

/** The text of a trace file, an event a line. */
export function traceText(events: readonly TraceEvent[], about: Readonly<Record<string, string | number>>): string {
  const lines = events.map((event) => JSON.stringify(event)).join(',\n')
  return `{"displayTimeUnit":"ms","otherData":${JSON.stringify(about)},"traceEvents":[\n${lines}\n]}\n`
}
