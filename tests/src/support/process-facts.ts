import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What Linux tells about processes; everything is empty or 0 for a process that is gone. */

function readOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Whether a process exists and is no zombie. */
export function isAlive(pid: number): boolean {
  const state = /^\d+ \(.*\) (\w)/s.exec(readOf(`/proc/${String(pid)}/stat`))?.[1]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** Children, their children and so on. */
export function descendantsOf(pid: number): number[] {
  const threads = listOf(`/proc/${String(pid)}/task`)
  const children = threads.flatMap((thread) =>
    readOf(`/proc/${String(pid)}/task/${thread}/children`)
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number),
  )
  return children.flatMap((child) => [child, ...descendantsOf(child)])
}

/** Program and words, joined by blanks. */
export function commandOf(pid: number): string {
  return readOf(`/proc/${String(pid)}/cmdline`)
    .replaceAll('\0', ' ')
    .trim()
}

/** The open files of a process as its links say them: paths, `socket:[…]`, `anon_inode:…`. */
export function openFilesOf(pid: number): string[] {
  return listOf(`/proc/${String(pid)}/fd`).flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/${String(pid)}/fd/${descriptor}`)]
    } catch {
      return []
    }
  })
}

/** Resident memory, MiB. */
export function residentMibOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readOf(`/proc/${String(pid)}/status`))?.[1] ?? 0) / 1024
}

/** Threads of a process. */
export function threadsOf(pid: number): number {
  return listOf(`/proc/${String(pid)}/task`).length
}

function listOf(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
