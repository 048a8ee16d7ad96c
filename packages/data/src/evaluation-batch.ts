import { gridOrigin, viewsOf, type EvaluationView, type EvaluationViews } from '@lockstep/shared/sampling/evaluation-views.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { writeRectangle, type ByteValues } from './network-input.js'
import type { Picture } from './picture.js'

/** What the network is given at once, and how its soft-max counts. The buffer is its own, to be handed to another thread. */
export type EvaluationInput = {
  /** As `shape` says, float32, normalised. */
  readonly images: Float32Array<ArrayBuffer>
  readonly shape: readonly [count: number, height: number, width: number, channels: 1 | 3]
  readonly weight: number
} & (
  | {
      /** One view of every picture of the batch; zeros after the last picture. */
      readonly kind: 'crop'
    }
  | {
      /** One whole picture. */
      readonly kind: 'dense'
      readonly sample: number
    }
)

/** Some pictures to evaluate, always the same ones together, and what the network is to be asked about them. */
export interface EvaluationBatch {
  /** [batch]; zeros after the last sample. A buffer of its own, to be handed to another thread. */
  readonly labels: Int32Array<ArrayBuffer>
  /** Real samples in the batch. */
  readonly samples: number
  /** A single crop of every picture: one input, and nothing to average. */
  readonly plain: boolean
  /** How many inputs there are: forward passes. */
  readonly forwards: number
  /** The inputs in the order in which their answers are added up, each made when it is asked for: all at once would not fit. */
  readonly inputs: () => Generator<EvaluationInput, void, undefined>
}

export interface EvaluationBatchParts {
  /** [scale][sample]: the shorter side is as long as the scale says. */
  readonly pictures: readonly (readonly Picture[])[]
  /** [batch] */
  readonly labels: Int32Array<ArrayBuffer>
  readonly views: EvaluationViews
  /** Height and width of the network's input, pixels. */
  readonly inputSize: number
  readonly values: ByteValues
}

/**
 * Crops are computed together, one view of all pictures at a time, always in the full batch. Whole pictures have shapes of their own and
 * are computed one by one: grouped by shape, the bits of one would depend on which others are there.
 */
export function evaluationBatch(parts: EvaluationBatchParts): EvaluationBatch {
  const { pictures, labels } = parts
  const views = viewsOf(parts.views)
  const samples = pictures[0]?.length ?? 0
  invariant(pictures.length === parts.views.scales.length, 'there are pictures of every scale')
  return {
    labels,
    samples,
    plain: views.length === 1 && views[0]?.kind === 'crop',
    forwards: views.reduce((sum, { kind }) => sum + (kind === 'crop' ? 1 : samples), 0),
    *inputs() {
      for (const view of views) {
        const ofScale = pictures[view.scale] ?? []
        if (view.kind === 'crop') yield cropInput(parts, view, ofScale)
        else for (const [sample, picture] of ofScale.entries()) yield denseInput(parts.values, view, picture, sample)
      }
    },
  }
}

function cropInput(
  { labels, inputSize, values }: EvaluationBatchParts,
  view: EvaluationView & { kind: 'crop' },
  pictures: readonly Picture[],
): EvaluationInput {
  const floats = inputSize * inputSize * values.channels
  const images = new Float32Array(labels.length * floats)
  const size = { height: inputSize, width: inputSize }
  for (const [sample, picture] of pictures.entries()) {
    const origin = gridOrigin(view, picture.height, picture.width, inputSize)
    writeRectangle(picture, { ...origin, ...size, flip: view.flip }, values, images, sample * floats)
  }
  return { kind: 'crop', images, shape: [labels.length, inputSize, inputSize, values.channels], weight: view.weight }
}

function denseInput(values: ByteValues, view: EvaluationView, picture: Picture, sample: number): EvaluationInput {
  const { height, width } = picture
  const images = new Float32Array(height * width * values.channels)
  writeRectangle(picture, { top: 0, left: 0, height, width, flip: view.flip }, values, images, 0)
  return { kind: 'dense', images, shape: [1, height, width, values.channels], weight: view.weight, sample }
}
