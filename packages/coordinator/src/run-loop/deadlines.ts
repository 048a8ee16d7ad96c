import type { RunState, WorkerState } from './run-state.js'

/** Without a heartbeat for so long, a worker counts as lost although its stream stands. */
export const SILENCE_MS = 3_000
/** Shortest time without progress after which a worker that answers counts as lost. */
export const PROGRESS_MS = 5_000
/** A unit of work may take so many times its measured duration. */
const PROGRESS_FACTOR = 4
/** A gap between two ticks beyond which the coordinator itself was asleep, and nobody else is to blame. */
const CLOCK_JUMP_MS = 1_000

/** After a jump of the coordinator's own clock all deadlines start again. Mutates `state`, a fresh copy. */
export function restartDeadlines(state: RunState, nowMs: number): void {
  // before the first tick nothing is known of our own clock either
  if (state.tickMs !== null && nowMs - state.tickMs <= CLOCK_JUMP_MS) return
  for (const worker of Object.values(state.workers)) {
    worker.lastHeardMs = nowMs
    worker.lastProgressMs = nowMs
  }
}

/** Milliseconds without progress that are granted to a worker with work in hand. */
export function progressDeadlineMs(worker: WorkerState): number {
  return Math.max(PROGRESS_MS, PROGRESS_FACTOR * worker.leafSeconds * 1000)
}

/** Workers that are silent, or have work and make no progress, with the reason in words. */
export function overdueWorkers(state: RunState, nowMs: number): { worker: string; reason: string }[] {
  return Object.values(state.workers).flatMap((worker) => {
    const silentMs = nowMs - worker.lastHeardMs
    if (silentMs > SILENCE_MS) return [{ worker: worker.worker, reason: `silent for ${(silentMs / 1000).toFixed(1)} s` }]
    const idleMs = nowMs - worker.lastProgressMs
    const busy = worker.leaves.length > 0 || worker.audits.length > 0 || worker.batches.length > 0
    if (busy && idleMs > progressDeadlineMs(worker)) {
      return [{ worker: worker.worker, reason: `no progress for ${(idleMs / 1000).toFixed(1)} s with work in hand` }]
    }
    return []
  })
}
