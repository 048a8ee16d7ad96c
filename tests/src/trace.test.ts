import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TraceEvent } from '@lockstep/coordinator/trace/trace-events.js'
import { train } from '@lockstep/coordinator/train.js'
import type { Recipe, RecipeInput } from '@lockstep/shared/recipe/schema.js'
import { drawFolder } from './support/picture-folder.js'
import { recipeOf, trainToEnd, type Trained } from './support/training.js'

/** trace.json of real trainings: whole, of everybody, in order, and without any influence on the bits. */
const MINUTES = 60_000
const STEPS = 5
/** An evaluation comes before step 3, and nothing before step 0: these wait for their jobs. */
const NOT_EARLY: readonly number[] = [0, 3]

let base: string
let pictures: string
let untraced: Trained

function recipe(trace: NonNullable<RecipeInput['run']>['trace'], steps = STEPS): Recipe {
  const parsed = recipeOf(pictures, {
    ...{ steps, evaluation: { everySteps: 3, batch: 16 } },
    run: {
      ...{ workers: { count: 2, minimum: 2 }, averager: { slices: 2 }, trace },
      checkpoint: { everySteps: 2, digestEverySteps: 1 },
    },
  })
  // a vector of three chunks, so that two slices are two
  return { ...parsed, model: { ...parsed.model, fullyConnected: [1024, 512] } }
}

async function eventsOf(directory: string): Promise<TraceEvent[]> {
  const text = await readFile(join(directory, 'trace.json'), 'utf8')
  return (JSON.parse(text) as { traceEvents: TraceEvent[] }).traceEvents
}

/** Numbers of processes whose name begins so. */
function processesOf(events: readonly TraceEvent[], name: string): number[] {
  return events.filter((event) => event.name === 'process_name' && String(event.args?.name).startsWith(name)).map(({ pid }) => pid)
}

function threadName(events: readonly TraceEvent[], pid: number, tid: number): string {
  const found = events.find((event) => event.name === 'thread_name' && event.pid === pid && event.tid === tid)
  return String(found?.args?.name)
}

function kindsOf(events: readonly TraceEvent[], pid: number): Set<string | undefined> {
  return new Set(events.filter((event) => event.ph === 'X' && event.pid === pid).map(({ cat }) => cat))
}

/** Spans of one thread that begin within another and end behind it. */
function brokenNestings(events: readonly TraceEvent[]): string[] {
  const threads = new Map<string, TraceEvent[]>()
  for (const event of events.filter(({ ph }) => ph === 'X')) {
    const thread = `${String(event.pid)}/${String(event.tid)}`
    threads.set(thread, [...(threads.get(thread) ?? []), event])
  }
  return [...threads.values()].flatMap((spans) => {
    const open: number[] = []
    const sorted = spans.toSorted((a, b) => (a.ts ?? 0) - (b.ts ?? 0) || (b.dur ?? 0) - (a.dur ?? 0))
    return sorted.flatMap(({ name, ts = 0, dur = 0 }) => {
      while ((open.at(-1) ?? Infinity) <= ts + 0.0015) open.pop()
      const outer = open.at(-1)
      open.push(ts + dur)
      return outer !== undefined && ts + dur > outer + 0.0015 ? [name] : []
    })
  })
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'lockstep-trace-'))
  pictures = await drawFolder(join(base, 'pictures'), 20)
  untraced = await trainToEnd(recipe({ detail: 'off' }), { base: join(base, 'runs') })
}, 3 * MINUTES)

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})

describe('trace.json', () => {
  it('is not there when nobody wants it', async () => {
    await expect(stat(join(untraced.directory, 'trace.json'))).rejects.toThrow('ENOENT')
  })

  it.each(['steps', 'layers'] as const)(
    'shows what everybody did, in detail %s, and changes no bit',
    async (detail) => {
      const trained = await trainToEnd(recipe({ detail }), { base: join(base, 'runs') })
      expect([...trained.digests]).toEqual([...untraced.digests])
      expect(new Set(trained.digests.values()).size).toBe(STEPS)
      const events = await eventsOf(trained.directory)
      const workers = processesOf(events, 'worker-')
      expect(workers).toHaveLength(2)
      const kinds = ['job', 'load', 'compute', 'send', 'receive', 'wait', ...(detail === 'layers' ? ['layer'] : [])]
      for (const pid of workers) expect([...kindsOf(events, pid)].sort()).toEqual(kinds.sort())
      const [coordinator] = processesOf(events, 'coordinator')
      for (const kind of ['step', 'evaluation', 'checkpoint', 'receive', 'reduce', 'update', 'send'])
        expect(kindsOf(events, coordinator ?? 0)).toContain(kind)
      const threads = events.filter(({ name, pid }) => name === 'thread_name' && pid === coordinator).map(({ args }) => args?.name)
      expect(threads).toEqual(expect.arrayContaining(['slice 0', 'slice 1']))
      const commits = events.filter(({ ph, cat }) => ph === 'i' && cat === 'commit')
      expect(commits.map(({ name }) => name)).toEqual(Array.from({ length: STEPS }, (_, step) => `commit of version ${String(step + 1)}`))
      expect(events.filter(({ ph, cat }) => ph === 'i' && cat === 'member')).toHaveLength(2)
      expect(brokenNestings(events)).toEqual([])
      expectOneClock(events, workers)
      const early = stepsBegunEarly(events)
      expect(early.filter((step) => NOT_EARLY.includes(step))).toEqual([])
      expect(early.length).toBeGreaterThan(0)
      if (detail === 'layers') expect(layerNames(events)).toEqual(expect.arrayContaining(['block1_conv1', 'block1_conv1 backwards', 'fc1']))
    },
    3 * MINUTES,
  )

  it(
    'keeps the steps asked for',
    async () => {
      const trained = await trainToEnd(recipe({ steps: [1, 2] }), { base: join(base, 'runs') })
      const events = await eventsOf(trained.directory)
      expect(new Set(events.filter(({ ph }) => ph === 'X').map(({ args }) => args?.step))).toEqual(new Set([1, 2]))
    },
    3 * MINUTES,
  )

  it(
    'is whole after an interruption and shows a worker that was lost',
    async () => {
      const stop = new AbortController()
      const directory = join(base, 'interrupted')
      const pids: number[] = []
      const interrupted = recipe({}, 10_000)
      interrupted.run.workers.minimum = 1
      for await (const event of train(interrupted, { runDirectory: directory, signal: stop.signal })) {
        if (event.type === 'workerJoined') pids.push(event.pid)
        if (event.type === 'step' && event.step === 2) process.kill(pids[0] ?? 0, 'SIGKILL')
        if (event.type === 'workerLost') stop.abort('SIGINT')
      }
      const events = await eventsOf(directory)
      expect(events.filter(({ cat }) => cat === 'fault').map(({ name }) => name)).toContainEqual(expect.stringMatching(/^worker-\d lost$/))
    },
    3 * MINUTES,
  )

  it(
    'is whole after a failure',
    async () => {
      const directory = join(base, 'failed')
      const failing = recipe({})
      failing.learningRate.initial = 1e30
      await expect(trainToEnd(failing, { runDirectory: directory })).rejects.toThrow(/not finite/)
      expect((await eventsOf(directory)).filter(({ ph }) => ph === 'X').length).toBeGreaterThan(0)
    },
    3 * MINUTES,
  )
})

/**
 * A leaf is computed before its own step's commit, and after the commit of the weights it is computed from, if need be before its job came;
 * where it waits for that, after its step began.
 */
function expectOneClock(events: readonly TraceEvent[], workers: readonly number[]): void {
  for (let step = 0; step < STEPS; step++) {
    const whole = events.find(({ cat, args }) => cat === 'step' && args?.step === step)
    const commit = events.find(({ cat, args }) => cat === 'commit' && args?.step === step - 1)
    const [from, to] = [(NOT_EARLY.includes(step) ? whole : commit)?.ts ?? Infinity, (whole?.ts ?? 0) + (whole?.dur ?? 0)]
    const leaves = events.filter(
      ({ cat, args, pid, tid, name }) =>
        cat === 'compute' && args?.step === step && name.startsWith('leaf') && threadName(events, pid, tid) === 'compute',
    )
    expect(new Set(leaves.map(({ pid }) => pid)).size).toBe(workers.length)
    for (const { ts = 0, dur = 0 } of leaves) expect([ts >= from, ts + dur <= to]).toEqual([true, true])
  }
}

/** Steps of which a span was computed before its job came: the wait for the job lies within the work. */
function stepsBegunEarly(events: readonly TraceEvent[]): number[] {
  const jobs = events.filter(({ cat }) => cat === 'job')
  const waits = events.filter(({ name }) => name === 'wait for a job')
  const within = waits.filter(({ pid, ts = 0 }) =>
    jobs.some((job) => job.pid === pid && (job.ts ?? 0) < ts && ts < (job.ts ?? 0) + (job.dur ?? 0)),
  )
  return [...new Set(within.map(({ args }) => Number(args?.step)))]
}

function layerNames(events: readonly TraceEvent[]): string[] {
  return events.filter(({ cat }) => cat === 'layer').map(({ name }) => name)
}
