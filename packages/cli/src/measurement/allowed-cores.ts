import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Which cores a process may use, and whether others can be confined to some of them. */

/** @param status text of /proc/PID/status @returns rising; empty where it does not say */
export function parseAllowedCores(status: string): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? ''
  return list.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number)
    if (part === '' || first === undefined || last === undefined) return []
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

/** Those of this process. */
export async function allowedCores(): Promise<number[]> {
  return parseAllowedCores(await readFile('/proc/self/status', 'utf8').catch(() => ''))
}

/** Whether there is a taskset that may confine to one of these cores. */
export async function canConfine(cores: readonly number[]): Promise<boolean> {
  if (cores.length === 0) return false
  const tried = promisify(execFile)('taskset', ['-c', String(cores[0]), 'true'])
  return await tried.then(
    () => true,
    () => false,
  )
}
