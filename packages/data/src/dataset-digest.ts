import { createHash } from 'node:crypto'
import type { ColorStatistics } from '@lockstep/shared/sampling/dataset-description.js'

interface DigestedSample {
  readonly label: number
  readonly crc: number
  readonly length: number
}

/**
 * Digest of a data set: SHA-256 over its class names and, in order, each sample's class, CRC-32 and length. It says nothing of
 * files and shards, so a folder and what was packed from it (without resizing) share it, whatever the size of the shards.
 */
export function datasetDigest(classes: readonly string[], samples: Iterable<DigestedSample>): string {
  const hash = createHash('sha256').update('lockstep-dataset-1\n').update(JSON.stringify(classes)).update('\n')
  const pending = Buffer.alloc(12 * 4096)
  let used = 0
  for (const { label, crc, length } of samples) {
    pending.writeUInt32LE(label, used)
    pending.writeUInt32LE(crc, used + 4)
    pending.writeUInt32LE(length, used + 8)
    used += 12
    if (used === pending.length) {
      hash.update(pending)
      used = 0
    }
  }
  return hash.update(pending.subarray(0, used)).digest('hex')
}

/** Digest of mean, standard deviation and colour eigenvectors: they enter every pixel, so they must agree as well. */
export function statisticsDigest({ mean, std, eigenvalues, eigenvectors, pixels }: ColorStatistics): string {
  return createHash('sha256').update(JSON.stringify({ mean, std, eigenvalues, eigenvectors, pixels })).digest('hex')
}
