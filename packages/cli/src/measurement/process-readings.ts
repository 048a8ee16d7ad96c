import { readFile, readdir, writeFile } from 'node:fs/promises'

/** What Linux tells of processes: memory of one, processor time of a whole tree. */

const TICKS_PER_SECOND = 100
const KIBIBYTE = 1024

export interface MemoryReading {
  /** Now in memory, bytes. */
  readonly residentBytes: number
  /** The most that was, since the process began or {@link resetPeak}, bytes. */
  readonly peakBytes: number
}

/** @param status text of /proc/PID/status */
export function parseMemory(status: string): MemoryReading {
  const bytes = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * KIBIBYTE
  return { residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') }
}

/** NaN where the process is gone. */
export async function readMemory(pid: number): Promise<MemoryReading> {
  return parseMemory(await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => ''))
}

/** Begins the peak anew from what is resident now (proc(5), clear_refs), so that every step's own can be read. */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${String(pid)}/clear_refs`, '5').catch(() => undefined)
}

export interface ProcessTimes {
  readonly pid: number
  readonly parent: number
  /** User and system time of the process and of those children that ended and were waited for. */
  readonly cpuSeconds: number
}

/** @param stat text of /proc/PID/stat, whose second word is a name in parentheses that may hold anything */
export function parseTimes(stat: string): ProcessTimes | undefined {
  const close = stat.lastIndexOf(')')
  if (close < 0) return undefined
  const words = stat.slice(close + 2).split(' ')
  const ticks = words.slice(11, 15).reduce((sum, word) => sum + Number(word), 0)
  return { pid: Number.parseInt(stat, 10), parent: Number(words[1]), cpuSeconds: ticks / TICKS_PER_SECOND }
}

/** Of these processes, one and its descendants. */
export function treeOf(processes: readonly ProcessTimes[], root: number): ProcessTimes[] {
  const found = processes.filter(({ pid }) => pid === root)
  const grow = (at: number): void => {
    const member = found[at]
    if (member === undefined) return
    found.push(...processes.filter(({ parent }) => parent === member.pid))
    grow(at + 1)
  }
  grow(0)
  return found
}

/** A process and all its descendants, as far as they live. */
export async function readTree(root: number): Promise<ProcessTimes[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const texts = await Promise.all(names.map((name) => readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')))
  return treeOf(
    texts.map(parseTimes).filter((times) => times !== undefined),
    root,
  )
}

export function cpuSecondsOf(tree: readonly ProcessTimes[]): number {
  return tree.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
}
