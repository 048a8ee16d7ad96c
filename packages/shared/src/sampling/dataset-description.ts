import { z } from 'zod'

/** What `dataset.json` of a packed folder holds; the index of a plain folder is kept with the same. */

const triple = z.tuple([z.number(), z.number(), z.number()])
const digest = z.string().regex(/^[0-9a-f]{64}$/)

export const colorStatisticsSchema = z.strictObject({
  /** Mean RGB over all pixels of all pictures, 0–255. */
  mean: triple,
  /** Standard deviation of RGB over all pixels, 0–255. */
  std: triple,
  /** Eigenvalues of the covariance of RGB in 0–1 units, largest first. The colour shift multiplies by their square roots. */
  eigenvalues: triple,
  /** eigenvectors[k] belongs to eigenvalues[k]: unit length, (r, g, b), its largest component positive. */
  eigenvectors: z.tuple([triple, triple, triple]),
  pixels: z.int().positive(),
})

export const datasetDescriptionSchema = z.strictObject({
  format: z.literal('lockstep-dataset'),
  version: z.literal(1),
  /** shards: tar files here; folder: a plain folder of class folders elsewhere. */
  kind: z.enum(['shards', 'folder']),
  classes: z.array(z.string()).min(1),
  /** Samples of each class. */
  counts: z.array(z.int().min(0)),
  samples: z.int().positive(),
  ...colorStatisticsSchema.shape,
  /** SHA-256 over the class names and, in order, each sample's class, CRC-32 and length. */
  digest,
  shards: z.array(
    z.strictObject({
      file: z.string().min(1),
      index: z.string().min(1),
      samples: z.int().positive(),
      bytes: z.int().min(0),
      sha256: digest.optional(),
    }),
  ),
  /** Pictures left out at packing because they could not be decoded. */
  skipped: z.array(z.string()).default([]),
})

export type ColorStatistics = z.infer<typeof colorStatisticsSchema>
export type DatasetDescription = z.infer<typeof datasetDescriptionSchema>
