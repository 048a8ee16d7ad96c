import { median } from '@lockstep/cli/measurement/statistics.js'
import type { TraceEvent } from '@lockstep/coordinator/trace/trace-events.js'

/** What of a run's steps was not computing, by its trace. Pure. */

export interface StepOverhead {
  /** Steps of which the trace has everything. */
  readonly steps: number
  /** Medians over them, milliseconds: from commit to commit, of that the slower worker's computing, and what is left. */
  readonly stepMs: number
  readonly computeMs: number
  readonly overheadMs: number
  /** What the slower worker did or waited for besides, by name, medians over steps. */
  readonly partsMs: ReadonlyMap<string, number>
}

interface WorkerStep {
  computeMs: number
  /** Leaves whose computing was told. */
  leaves: number
  readonly parts: Map<string, number>
}

/**
 * @param leaves of a step, M
 * @param first the first step that counts
 * @param last the last one
 */
export function stepOverhead(
  events: readonly TraceEvent[],
  { leaves, first, last }: Record<'leaves' | 'first' | 'last', number>,
): StepOverhead {
  const committedMs = new Map<number, number>()
  const steps = new Map<number, Map<number, WorkerStep>>()
  for (const { ph, cat, name, ts = 0, dur = 0, pid, args } of events) {
    const step = Number(args?.step)
    if (ph === 'i' && cat === 'commit') committedMs.set(step, ts / 1000)
    const isComputing = cat === 'compute' && /^(leaf|add)/.test(name)
    if (ph !== 'X' || !(isComputing || cat === 'wait' || name === 'set weights')) continue
    const workers = steps.get(step) ?? new Map<number, WorkerStep>()
    steps.set(step, workers)
    const worker = workers.get(pid) ?? { computeMs: 0, leaves: 0, parts: new Map<string, number>() }
    workers.set(pid, worker)
    if (isComputing) worker.computeMs += dur / 1000
    else worker.parts.set(name, (worker.parts.get(name) ?? 0) + dur / 1000)
    if (name.startsWith('leaf')) worker.leaves += 1
  }
  const whole: { readonly stepMs: number; readonly slower: WorkerStep }[] = []
  for (let step = first; step <= last; step++) {
    const [from, to] = [committedMs.get(step - 1), committedMs.get(step)]
    const workers = [...(steps.get(step)?.values() ?? [])]
    const slower = workers.toSorted((a, b) => b.computeMs - a.computeMs)[0]
    const told = workers.reduce((sum, worker) => sum + worker.leaves, 0)
    if (from !== undefined && to !== undefined && slower !== undefined && told === leaves) whole.push({ stepMs: to - from, slower })
  }
  const names = [...new Set(whole.flatMap(({ slower }) => [...slower.parts.keys()]))].sort()
  return {
    steps: whole.length,
    stepMs: median(whole.map(({ stepMs }) => stepMs)),
    computeMs: median(whole.map(({ slower }) => slower.computeMs)),
    overheadMs: median(whole.map(({ stepMs, slower }) => stepMs - slower.computeMs)),
    partsMs: new Map(names.map((name) => [name, median(whole.map(({ slower }) => slower.parts.get(name) ?? 0))])),
  }
}
