import { readFileSync, readlinkSync } from 'node:fs'

/** The machine's monotonic clock in microseconds: one clock for all processes and threads of a machine. */
export function monotonicUs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e6 + nanoseconds / 1e3
}

let identity: string | undefined

/**
 * Names the monotonic clock of this process: two processes with the same name read the same clock. Made of the boot and the
 * name space of time; empty where that cannot be known.
 */
export function clockIdentity(): string {
  identity ??= readIdentity()
  return identity
}

function readIdentity(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/time')}`
  } catch {
    return ''
  }
}
