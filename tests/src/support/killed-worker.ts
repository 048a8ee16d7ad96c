import type { TrainEvent } from '@lockstep/coordinator/train-event.js'

/** Kills, once, the second worker that joined, with SIGKILL, when `step` is done. @returns what is to see every event of the run */
export function killingOneWorkerAt(step: number): (event: TrainEvent) => void {
  const pids: number[] = []
  return (event) => {
    if (event.type === 'workerJoined') pids.push(event.pid)
    const [, victim] = pids
    if (event.type !== 'step' || event.step < step || victim === undefined) return
    process.kill(victim, 'SIGKILL')
    pids.length = 0
  }
}
