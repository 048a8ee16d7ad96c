import { setFlagsFromString } from 'node:v8'

/** How far the old generation grows, in per cent of what survived, before all of it is collected. */
const GROWTH_PERCENT = 200

let set = false

/**
 * Makes V8 collect everything less often in this process. Whatever a socket brings is memory outside the heap, 64 KiB a read, and counts: a
 * thread with a heap of 10 MB that reads a gigabyte a second would be collected every 15 ms, and every collection wakes helper threads. With
 * this it may have three times what it needs. V8's own limit of a heap stays.
 */
export function collectLessOften(): void {
  if (set) return
  set = true
  // read at the end of every collection, so it counts from the next one on, in every thread
  setFlagsFromString(`--heap-growing-percent=${String(GROWTH_PERCENT)}`)
}
