import { createHash } from 'node:crypto'

/** What two processes that train on the same pictures agree on. Plain JSON; travels from the coordinator to workers. */
export interface DataDigests {
  /** Digest of the training folder (see dataset-digest.ts); with {split} of the whole folder that is split. */
  readonly train: string
  /** Digest of the validation folder, or with {split} of the part set aside. */
  readonly validation: string
  /** Digest of mean, standard deviation and colour eigenvectors of the training folder. */
  readonly statistics: string
  /** Samples in the training folder, and in the validation folder (0 with {split}): a quick way to pass over other folders. */
  readonly trainSamples: number
  readonly validationSamples: number
}

/** One digest for all of it. */
export function combinedDigest({ train, validation, statistics }: DataDigests): string {
  return createHash('sha256').update(JSON.stringify({ train, validation, statistics })).digest('hex')
}
