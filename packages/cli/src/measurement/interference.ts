import { readFile } from 'node:fs/promises'

/** USER_HZ, in which /proc/stat counts; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100
/** Above this share of the processors' time taken by the hypervisor, a sample tells of the neighbours. */
const MOST_STEAL = 0.02
/**
 * Above this share of time in which somebody waited for a processor, too. Not zero: a step's own helper threads and the kernel's
 * wait now and then on a quiet machine too.
 */
const MOST_PRESSURE = 0.25

/** Counters since the machine started. */
export interface MachineCounters {
  readonly stealSeconds: number
  /** Time in which at least one task waited for a processor; undefined where the kernel does not tell. */
  readonly pressureSeconds: number | undefined
  readonly processors: number
}

/** @param stat text of /proc/stat; @param pressure text of /proc/pressure/cpu, empty where there is none */
export function parseCounters(stat: string, pressure: string): MachineCounters {
  const lines = stat.split('\n')
  const steal = Number(
    lines
      .find((line) => line.startsWith('cpu '))
      ?.trim()
      .split(/\s+/)[8] ?? 0,
  )
  const total = /^some .*total=(\d+)/m.exec(pressure)?.[1]
  return {
    stealSeconds: steal / TICKS_PER_SECOND,
    pressureSeconds: total === undefined ? undefined : Number(total) / 1e6,
    processors: lines.filter((line) => /^cpu\d/.test(line)).length,
  }
}

export async function readCounters(): Promise<MachineCounters> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  return parseCounters(await read('/proc/stat'), await read('/proc/pressure/cpu'))
}

/** Shares of the time between two readings: of all processors' time stolen, and of wall time under pressure. */
export interface Interference {
  readonly steal: number
  readonly pressure: number
}

export function interferenceBetween(before: MachineCounters, after: MachineCounters, wallSeconds: number): Interference {
  const { pressureSeconds: from, stealSeconds, processors } = before
  return {
    steal: (after.stealSeconds - stealSeconds) / (wallSeconds * Math.max(1, processors)),
    pressure: from === undefined || after.pressureSeconds === undefined ? 0 : (after.pressureSeconds - from) / wallSeconds,
  }
}

export function isDisturbed({ steal, pressure }: Interference): boolean {
  return steal > MOST_STEAL || pressure > MOST_PRESSURE
}
