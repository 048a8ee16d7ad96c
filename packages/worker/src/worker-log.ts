import { pino, type Logger } from 'pino'

export type WorkerLog = Logger

/**
 * The worker's log: pino's JSON lines on standard output, which whoever started the process puts into a file. Written at
 * once, so that the last line before a crash is there too.
 */
export function createWorkerLog(name: string): WorkerLog {
  const destination = pino.destination({ fd: 1, sync: true })
  destination.on('error', () => undefined) // whoever read it is gone; that is no reason to stop
  return pino({ base: { pid: process.pid, worker: name }, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}
