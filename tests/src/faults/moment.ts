import { philox } from '@lockstep/shared/random/philox.js'

/** When a fault strikes, and whom: a function of the fault's name, the repetition and the seed, and of nothing else. */
export interface Moment {
  /** Strike once this many updates are committed … */
  readonly step: number
  /** … and so many milliseconds later, somewhere within the step under way. */
  readonly delayMs: number
  /** Further choices of the fault: whole numbers below `below`, each call another one. */
  draw(below: number): number
}

/** Between which commits a fault may strike, and how far into the step. */
export interface Window {
  readonly firstStep: number
  readonly lastStep: number
  readonly mostDelayMs: number
}

/** Second key word of Philox: no purpose of the product's own has this number. */
const FAULTS = 0xfa17

/** @param fault its name @param repetition 0, 1, … */
export function momentOf(fault: string, repetition: number, seed: number, { firstStep, lastStep, mostDelayMs }: Window): Moment {
  const words = new Uint32Array(4)
  let at = 0
  const draw = (below: number): number => {
    if (at % 4 === 0) philox(hashOf(fault), repetition, at / 4, 0, seed, FAULTS, words)
    return (words[at++ % 4] ?? 0) % below
  }
  return { step: firstStep + draw(lastStep - firstStep + 1), delayMs: draw(mostDelayMs + 1), draw }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
