import { readFile } from 'node:fs/promises'
import { interferenceBetween, readCounters, type MachineCounters } from './interference.js'
import { cpuSecondsOf, readTree } from './process-readings.js'

/**
 * What others took of the machine while we measured. Waiting for a processor says nothing where a whole training is confined to one:
 * its own threads wait for each other. So the time that processors were busy is held against the time that we took ourselves.
 */

const TICKS_PER_SECOND = 100
/** Above these shares of all processors' time a sample tells of the neighbours, outside the virtual machine or inside it. */
const MOST_STEAL = 0.02
const MOST_FOREIGN = 0.03

export interface Instant {
  readonly atMs: number
  readonly machine: MachineCounters
  readonly busySeconds: number
  /** Of the measuring process and everything it started. */
  readonly ownSeconds: number
}

/** @param stat text of /proc/stat @returns user, nice, system and interrupt time of all processors together */
export function parseBusySeconds(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number)
  return (user + nice + system + interrupts + soft) / TICKS_PER_SECOND
}

export async function readInstant(): Promise<Instant> {
  const [stat, tree, machine] = await Promise.all([readFile('/proc/stat', 'utf8'), readTree(process.pid), readCounters()])
  return { atMs: performance.now(), machine, busySeconds: parseBusySeconds(stat), ownSeconds: cpuSecondsOf(tree) }
}

export interface Window {
  readonly seconds: number
  /** Processor time that we took. */
  readonly ownSeconds: number
  /** Shares of all processors' time. */
  readonly steal: number
  readonly foreign: number
  readonly disturbed: boolean
}

export function windowBetween(before: Instant, after: Instant): Window {
  const seconds = (after.atMs - before.atMs) / 1000
  const ownSeconds = after.ownSeconds - before.ownSeconds
  const { steal } = interferenceBetween(before.machine, after.machine, seconds)
  const foreign = (after.busySeconds - before.busySeconds - ownSeconds) / (seconds * Math.max(1, before.machine.processors))
  return { seconds, ownSeconds, steal, foreign, disturbed: steal > MOST_STEAL || foreign > MOST_FOREIGN }
}
