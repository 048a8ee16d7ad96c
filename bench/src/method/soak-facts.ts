import { readdir, readFile } from 'node:fs/promises'
import { openFilesOf, residentMibOf, threadsOf } from '@lockstep/tests/support/process-facts.js'

/** What a coordinator (this process) and one of its workers hold at a moment. */
export interface Facts {
  readonly coordinatorFiles: number
  readonly coordinatorSockets: number
  readonly coordinatorTimers: number
  readonly coordinatorThreads: number
  readonly coordinatorMib: number
  readonly workerFiles: number
  readonly workerSockets: number
  readonly workerThreads: number
  readonly workerMib: number
  /** As its newest log line says; null before the first. */
  readonly workerTensors: number | null
  readonly sharedMemoryFiles: number
  readonly queueKeys: number
}

/** @param worker its process id, 0: none yet @param keys keys in the queue server */
export async function factsOf({ worker, workerLog, keys }: { worker: number; workerLog: string; keys: number }): Promise<Facts> {
  const own = openFilesOf(process.pid)
  const theirs = openFilesOf(worker)
  const isSocket = (link: string): boolean => link.startsWith('socket:')
  return {
    coordinatorFiles: own.length,
    coordinatorSockets: own.filter(isSocket).length,
    coordinatorTimers: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout' || kind === 'Immediate').length,
    coordinatorThreads: threadsOf(process.pid),
    coordinatorMib: residentMibOf(process.pid),
    workerFiles: theirs.length,
    workerSockets: theirs.filter(isSocket).length,
    workerThreads: threadsOf(worker),
    workerMib: residentMibOf(worker),
    workerTensors: await newestTensors(workerLog),
    sharedMemoryFiles: (await readdir('/dev/shm')).length,
    queueKeys: keys,
  }
}

async function newestTensors(workerLog: string): Promise<number | null> {
  const text = await readFile(workerLog, 'utf8').catch(() => '')
  const told = [...text.matchAll(/"tensors":(\d+)/g)].at(-1)?.[1]
  return told === undefined ? null : Number(told)
}

const ROWS: readonly (readonly [key: keyof Facts, title: string])[] = [
  ['coordinatorFiles', 'coordinator: open files'],
  ['coordinatorSockets', 'of them sockets'],
  ['coordinatorTimers', 'timers'],
  ['coordinatorThreads', 'threads'],
  ['coordinatorMib', 'resident memory, MiB'],
  ['workerFiles', 'worker-1: open files'],
  ['workerSockets', 'of them sockets'],
  ['workerThreads', 'threads'],
  ['workerMib', 'resident memory, MiB'],
  ['workerTensors', 'tensors'],
  ['sharedMemoryFiles', 'files in /dev/shm'],
  ['queueKeys', 'keys in the queue server'],
]

/** A Markdown table: a row a fact, a column a look. */
export function tableOf(looks: readonly (readonly [when: string, facts: Facts])[]): string[] {
  const cell = (value: number | null): string => (value === null ? '–' : Number.isInteger(value) ? String(value) : value.toFixed(0))
  return [
    `| | ${looks.map(([when]) => when).join(' | ')} |`,
    `|---|${looks.map(() => '---:').join('|')}|`,
    ...ROWS.map(([key, title]) => `| ${title} | ${looks.map(([, facts]) => cell(facts[key])).join(' | ')} |`),
  ]
}

/** How much a fact may differ between the first look at the running training and the last: what happens to be in flight. */
const SLACK: Readonly<Record<keyof Facts, number>> = {
  coordinatorFiles: 4,
  coordinatorSockets: 3,
  coordinatorTimers: 6,
  coordinatorThreads: 1,
  coordinatorMib: 60,
  workerFiles: 3,
  workerSockets: 2,
  workerThreads: 1,
  workerMib: 60,
  workerTensors: 0,
  sharedMemoryFiles: 0,
  queueKeys: 8,
}

/**
 * In words, what grew while the training went on, and what stayed after it.
 * @param looks first before the start, last after the end, at least two in between
 */
export function growth(looks: readonly (readonly [when: string, facts: Facts])[]): string[] {
  const [before, early, late, after] = [looks[0]?.[1], looks[1]?.[1], looks.at(-2)?.[1], looks.at(-1)?.[1]]
  if (before === undefined || early === undefined || late === undefined || after === undefined) return ['too few looks']
  const grown = ROWS.flatMap(([key]) => {
    const [from, to] = [early[key] ?? 0, late[key] ?? 0]
    return to > from + SLACK[key] ? [`${key} grew from ${String(from)} to ${String(to)}`] : []
  })
  const stayed = (['coordinatorFiles', 'coordinatorSockets', 'coordinatorTimers', 'sharedMemoryFiles', 'queueKeys'] as const).flatMap(
    (key) =>
      after[key] > before[key] + (key === 'coordinatorTimers' ? 2 : 0)
        ? [`${key} was ${String(before[key])} before and is ${String(after[key])} after`]
        : [],
  )
  return [...grown, ...stayed]
}
