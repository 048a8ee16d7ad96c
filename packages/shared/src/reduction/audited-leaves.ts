import { philox } from '../random/philox.js'
import { PURPOSE } from '../random/purposes.js'

/**
 * The leaves of a step that are audited: a function of (seed, step, leaf) and the share alone, so that nothing a worker
 * does can move the choice, and a step that is done again audits the same leaves.
 * @param share 0 to 1: each leaf is chosen with this probability, independently of the others
 * @param leaves M, the leaves of a step
 * @returns leaf numbers, ascending
 */
export function auditedLeaves(seed: number, share: number, step: number, leaves: number): number[] {
  if (share <= 0) return []
  const words = new Uint32Array(4)
  const chosen: number[] = []
  for (let leaf = 0; leaf < leaves; leaf++) {
    philox(leaf, step % 2 ** 32, Math.floor(step / 2 ** 32), 0, seed, PURPOSE.audit, words)
    if (((words[0] ?? 0) + 0.5) / 2 ** 32 < share) chosen.push(leaf)
  }
  return chosen
}
