import { philox } from '../random/philox.js'
import { PURPOSE } from '../random/purposes.js'
import { RandomWords } from './random-words.js'

/**
 * Sets a share of every class aside for validation: round(share · n) of its n samples, but at least one where n ≥ 2, and
 * never all. Which ones: the first of a Fisher–Yates permutation of the class, counters (class, draw, 0, 0) of purpose `split`.
 * @param labels class of each sample; @param share in (0, 1)
 * @returns two disjoint, ascending lists of sample numbers that together hold every sample
 */
export function splitIndices(labels: ArrayLike<number>, share: number, seed: number): { train: Uint32Array; validation: Uint32Array } {
  const members = new Map<number, number[]>()
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] ?? 0
    const list = members.get(label)
    if (list === undefined) members.set(label, [i])
    else list.push(i)
  }
  const aside = new Uint8Array(labels.length)
  let asideCount = 0
  for (const [label, list] of members) {
    const count = Math.min(list.length - 1, Math.max(1, Math.round(share * list.length)))
    const words = new RandomWords((draw, out) => {
      philox(label, draw, 0, 0, seed, PURPOSE.split, out)
    })
    for (const sample of words.shuffle(Uint32Array.from(list)).subarray(0, count)) aside[sample] = 1
    asideCount += count
  }
  const train = new Uint32Array(labels.length - asideCount)
  const validation = new Uint32Array(asideCount)
  let [atTrain, atValidation] = [0, 0]
  for (let i = 0; i < labels.length; i++) {
    if (aside[i] === 1) validation[atValidation++] = i
    else train[atTrain++] = i
  }
  return { train, validation }
}
