import type { Job } from '@lockstep/shared/protocol/jobs.js'

/** What all queues of a run begin with. Run ids have one length, so that none is the beginning of another. */
export function queuePrefix(run: string): string {
  return `lockstep-${plain(run)}-`
}

/**
 * The name of one worker's queue. `opening` tells it from the queues of the same worker before it lost its connection:
 * a worker that was frozen and comes back must not take jobs from its successor's queue.
 */
export function queueName(run: string, worker: string, opening: string): string {
  return `${queuePrefix(run)}${plain(worker)}-${opening}`
}

/**
 * The same job has the same id, so that putting it into the queue again while it waits does not double it. Never an
 * integer. A step that is done again is another job: the worker may still have the former one in hand.
 */
export function jobId(job: Job): string {
  const version = job.kind === 'span' ? job.step : job.version
  const again = job.drops === undefined ? [] : [`d${String(job.drops)}`]
  return [job.kind, job.term, version, job.first, job.count, ...again].join('-')
}

/** BullMQ allows no ":" and a pattern of SCAN knows *, ? and [: everything but letters, digits, "." and "-" is spelled out. */
function plain(name: string): string {
  return Array.from(name, (letter) => (/[A-Za-z0-9.-]/.test(letter) ? letter : `_${(letter.codePointAt(0) ?? 0).toString(16)}_`)).join('')
}
