import { join } from 'node:path'
import type { TraceSpans__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/TraceSpans.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { monotonicUs } from '@lockstep/shared/trace/clock.js'
import type { Span, SpanKind, SpanSubject, TracedSteps } from '@lockstep/shared/trace/span.js'
import type { Member } from '../membership/member.js'
import type { MembershipServer } from '../membership/membership-server.js'
import { writeDurably } from '../run-directory/durable-file.js'
import type { RunServices } from '../run-services.js'
import type { TrainEvent } from '../train-event.js'
import { SpanStore } from './span-store.js'
import { COORDINATOR, traceEvents, traceText, type Moment, type TracedProcess } from './trace-events.js'

export const TRACE_FILE = 'trace.json'
/** Joins, losses and the like that are kept, and as many commits. */
const MOST_MOMENTS = 1000
/** At the end of a run workers have so long to tell the last of what they did. */
const LAST_WORD_MS = 500

/** The steps that a run traces; undefined: none. */
export function tracedSteps({ run: { trace } }: Recipe): TracedSteps | undefined {
  return trace.detail === 'off' ? undefined : trace.steps
}

/** What everybody in a run did when, kept in bounds, and written as trace.json when the run ends, however it ends. */
export class RunTrace {
  readonly #store: SpanStore | undefined
  readonly #numbers = new Map<string, TracedProcess>()
  #moments: Moment[] = []
  #stepStartUs = 0
  #latestStep: number
  /** Members whose last word is waited for. */
  readonly #awaited = new Set<string>()
  #onLastWord: () => void = () => undefined

  /** @param directory of the run @param version that it begins with */
  constructor(
    recipe: Recipe,
    private readonly directory: string,
    version: number,
  ) {
    this.#latestStep = version
    const steps = tracedSteps(recipe)
    this.#store = steps === undefined ? undefined : new SpanStore(steps)
  }

  /** Takes what slices and workers tell. */
  listen(services: RunServices, membership: MembershipServer): void {
    if (this.#store === undefined) return
    services.averager.on('spans', (spans) => {
      this.#take(COORDINATOR, spans)
    })
    membership.on('spans', (member, message) => {
      this.#ofWorker(member, message)
    })
    membership.on('gone', ({ worker }) => {
      this.#heardLast(worker)
    })
  }

  /** A step begins, for the first time or again. */
  stepBegins(): void {
    this.#stepStartUs = monotonicUs()
  }

  /** A version was committed, or its update left out. */
  committed(version: number): void {
    const atUs = monotonicUs()
    this.#latestStep = version
    const step = version - 1
    this.#add({ track: 'steps', kind: 'step', name: `step ${String(step)}`, step }, this.#stepStartUs, atUs)
    this.#moment({ name: `commit of version ${String(version)}`, kind: 'commit', atUs, args: { step } })
  }

  /** Something of the coordinator's that took this long is over now. @param step a step or version */
  over(kind: SpanKind & ('evaluation' | 'checkpoint'), step: number, seconds: number): void {
    const endUs = monotonicUs()
    this.#add({ track: `${kind}s`, kind, name: `${kind} of version ${String(step)}`, step }, endUs - seconds * 1e6, endUs)
  }

  /** Notes what happened to workers, and what people are warned of. */
  onEvent(event: TrainEvent): void {
    const atUs = monotonicUs()
    const { type } = event
    if (type === 'workerJoined')
      this.#moment({ name: `${event.name} joined`, kind: 'member', atUs, args: { pid: event.pid, host: event.host } })
    if (type === 'workerLeft' || type === 'workerLost') {
      const kind = type === 'workerLost' ? 'fault' : 'member'
      this.#moment({ name: `${event.name} ${type === 'workerLost' ? 'lost' : 'left'}`, kind, atUs, args: { reason: event.reason } })
    }
    if (type === 'warning') this.#moment({ name: 'warning', kind: 'fault', atUs, args: { message: event.message } })
  }

  /** Asks all members for the last of what they did, and waits for it a little. */
  async gather(membership: MembershipServer): Promise<void> {
    if (this.#store === undefined) return
    for (const { worker } of membership.members) this.#awaited.add(worker)
    membership.broadcast({ flushTrace: {} })
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LAST_WORD_MS)
      this.#onLastWord = () => {
        if (this.#awaited.size > 0) return
        clearTimeout(timer)
        resolve()
      }
      this.#onLastWord()
    })
  }

  /** Writes trace.json. @param about what the file says of the run */
  async write(about: Readonly<Record<string, string | number>>): Promise<void> {
    if (this.#store === undefined) return
    const processes = [{ number: COORDINATOR, name: 'coordinator' }, ...this.#numbers.values()]
    const events = traceEvents(processes, [...this.#store.all()], this.#moments)
    await writeDurably(join(this.directory, TRACE_FILE), traceText(events, { ...about, spansLeftOut: this.#store.dropped }))
  }

  #ofWorker(member: Member, { spans, clockOffsetUs, last }: TraceSpans__Output): void {
    const { name, host, pid, worker } = member
    let known = this.#numbers.get(worker)
    if (known === undefined) {
      known = { number: COORDINATOR + 1 + this.#numbers.size, name: `${name} (${host}, process ${String(pid)})` }
      this.#numbers.set(worker, known)
    }
    this.#take(
      known.number,
      spans.map((span) => ({ ...span, kind: span.kind as SpanKind, startUs: span.startUs + clockOffsetUs })),
    )
    if (last) this.#heardLast(worker)
  }

  #heardLast(worker: string): void {
    this.#awaited.delete(worker)
    this.#onLastWord()
  }

  #take(process: number, spans: readonly Span[]): void {
    // what is not a time would make no JSON; what lies far ahead would push out everything else
    const sane = ({ startUs, durationUs, step }: Span): boolean => Number.isFinite(startUs + durationUs) && step <= this.#latestStep + 2
    for (const span of spans) if (sane(span)) this.#store?.add({ ...span, process })
  }

  #add(subject: SpanSubject, startUs: number, endUs: number): void {
    if (startUs > 0) this.#store?.add({ ...subject, process: COORDINATOR, startUs, durationUs: endUs - startUs })
  }

  #moment(moment: Moment): void {
    if (this.#store === undefined) return
    this.#moments.push(moment)
    if (this.#moments.length < 2 * MOST_MOMENTS) return
    // commits go first: of them there are many
    const commits = this.#moments.filter(({ kind }) => kind === 'commit').slice(-MOST_MOMENTS / 2)
    const others = this.#moments.filter(({ kind }) => kind !== 'commit').slice(-MOST_MOMENTS / 2)
    this.#moments = [...commits, ...others]
  }
}
