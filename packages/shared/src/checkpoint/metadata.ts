import { z } from 'zod'
import type { Network } from '../models/network.js'
import { recipeSchema, type Recipe } from '../recipe/schema.js'

/** What a checkpoint says of itself: all that evaluating, predicting and resuming need besides the tensors. */
export interface CheckpointMetadata {
  readonly format: 1
  /** Updates done: the weights version. */
  readonly step: number
  /** Durable identity of the run that wrote it. */
  readonly run: string
  readonly seed: number
  readonly recipe: Recipe
  readonly network: Network
  /** What turns a picture into the network's input; the data package knows its shape. */
  readonly preprocessing: Readonly<Record<string, unknown>>
  /** The state of the learning-rate schedule; the coordinator knows its shape. */
  readonly schedule: unknown
  readonly fingerprint: string
  readonly dataDigest: string
  readonly recipeDigest: string
  /** SHA-256 over the flat float32 weights, hex. */
  readonly weightsDigest: string
  /** SHA-256 over weights ‖ velocity ‖ suffix, hex. The suffix is kept beside this in the file. */
  readonly stateDigest: string
  readonly metrics?: { readonly loss: number; readonly top1: number; readonly top5: number } | undefined
  /** Of weights that another tool trained. */
  readonly origin?: CheckpointOrigin | undefined
}

export interface CheckpointOrigin {
  /** Name of the file that was imported. */
  readonly file: string
  /** Its format, by the name that `lockstep import` has for it. */
  readonly format: string
  /** Order of the channels its first kernel expected; the kernel here expects red, green, blue whatever this says. */
  readonly channels: 'rgb' | 'bgr'
}

/** The same before the digests are known. */
export type UnsealedMetadata = Omit<CheckpointMetadata, 'weightsDigest' | 'stateDigest'>

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hexadecimal')

const networkSchema = z.looseObject({
  name: z.string(),
  inputShape: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]),
  classes: z.int().positive(),
  layers: z.array(z.looseObject({ type: z.string(), name: z.string() })),
})

export const checkpointMetadataSchema = z.object({
  format: z.literal(1),
  step: z.int().min(0),
  run: z.string(),
  seed: z.int().min(0),
  recipe: recipeSchema,
  network: networkSchema.transform((network) => network as unknown as Network),
  preprocessing: z.record(z.string(), z.unknown()),
  schedule: z.unknown(),
  fingerprint: z.string(),
  dataDigest: z.string(),
  recipeDigest: z.string(),
  weightsDigest: digest,
  stateDigest: digest,
  metrics: z.object({ loss: z.number(), top1: z.number(), top5: z.number() }).optional(),
  origin: z.object({ file: z.string(), format: z.string(), channels: z.enum(['rgb', 'bgr']) }).optional(),
})
