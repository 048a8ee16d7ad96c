import { z } from 'zod'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'

/**
 * What an export writes beside the tensors, wherever the format has room: all that an import needs and that the formats do not
 * say. Other tools pass over it.
 */
const noteSchema = z.object({
  model: modelSchema,
  classes: z.array(z.string()).min(1),
  /** Order of the channels that the exported first kernel expects. */
  channels: z.enum(['rgb', 'bgr']),
  normalize: z.enum(['mean', 'meanAndStd']),
  /** Red, green, blue in either case. */
  mean: z.tuple([z.number(), z.number(), z.number()]),
  std: z.tuple([z.number(), z.number(), z.number()]),
  /** Pixels of the shorter side before the centre crop. */
  scale: z.int().positive(),
})

/** The name it goes by: an attribute in HDF5, a key in the metadata of safetensors and tfjs. */
export const NOTE_NAME = 'lockstep.export'

export type ExportNote = z.infer<typeof noteSchema>

/** @returns undefined when there is none, or it is from a version that says other things: then the file is as good as anyone's */
export function parseNote(text: string | undefined): ExportNote | undefined {
  if (text === undefined) return undefined
  try {
    const parsed = noteSchema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}
