import type { Preprocessing } from '@lockstep/data/preprocessing.js'

/** How pictures are fed to networks that others trained: their frameworks' own rules, by the names they have there. */

export const PICTURE_RULES = ['caffe', 'torch', 'tf', 'unit', 'raw'] as const
export type PictureRuleName = (typeof PICTURE_RULES)[number]

export interface PictureRule extends Pick<Preprocessing, 'normalize' | 'mean' | 'std'> {
  /** Order of the channels that the file's first kernel expects. Means and deviations here are red, green, blue in either case. */
  readonly channels: 'rgb' | 'bgr'
}

/**
 * caffe, torch and tf are the modes of `keras.applications.imagenet_utils.preprocess_input`: VGG16 and VGG19 of Keras are the
 * authors' Caffe files, for blue, green, red minus the mean of ImageNet. torch is also what torchvision documents for its
 * networks. unit divides by 255; raw leaves 0–255.
 */
const RULES: Record<PictureRuleName, PictureRule> = {
  caffe: { channels: 'bgr', normalize: 'mean', mean: [123.68, 116.779, 103.939], std: [1, 1, 1] },
  torch: {
    channels: 'rgb',
    normalize: 'meanAndStd',
    mean: [0.485 * 255, 0.456 * 255, 0.406 * 255],
    std: [0.229 * 255, 0.224 * 255, 0.225 * 255],
  },
  tf: { channels: 'rgb', normalize: 'meanAndStd', mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5] },
  unit: { channels: 'rgb', normalize: 'meanAndStd', mean: [0, 0, 0], std: [255, 255, 255] },
  raw: { channels: 'rgb', normalize: 'mean', mean: [0, 0, 0], std: [1, 1, 1] },
}

export function pictureRule(name: PictureRuleName): PictureRule {
  return RULES[name]
}

/** Test scale for one rule: torchvision's transforms bring the shorter side to 256 before a crop of 224; others take the whole picture. */
export function defaultScale(rule: PictureRuleName, inputSize: number): number {
  return rule === 'torch' ? Math.round((inputSize * 256) / 224) : inputSize
}

/** For people: `BGR minus 103.939, 116.779, 123.68`. */
export function describeRule({ channels, normalize, mean, std }: PictureRule): string {
  const ordered = (values: readonly number[]): string =>
    (channels === 'bgr' ? [...values].reverse() : [...values]).map((value) => String(Number(value.toFixed(3)))).join(', ')
  const divided = normalize === 'mean' ? '' : `, divided by ${ordered(std)}`
  return `${channels.toUpperCase()} of 0–255 minus ${ordered(mean)}${divided}`
}
