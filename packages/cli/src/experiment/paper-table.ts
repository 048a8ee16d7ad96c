import type { Configuration } from './training-plan.js'

/** Errors in per cent. */
export interface PaperError {
  readonly top1: number
  readonly top5: number
}

/**
 * Simonyan & Zisserman, arXiv 1409.1556v6, table 3: one network at one test scale, ImageNet validation, 1,000 classes. `fixed` is
 * trained and tested at S = Q = 256; `jittered` is trained at S from 256 to 512 and tested at Q = 384.
 */
export const PAPER_TABLE: Record<Configuration, { readonly fixed: PaperError; readonly jittered: PaperError | null }> = {
  'vgg-a': { fixed: { top1: 29.6, top5: 10.4 }, jittered: null },
  'vgg-a-lrn': { fixed: { top1: 29.7, top5: 10.5 }, jittered: null },
  'vgg-b': { fixed: { top1: 28.7, top5: 9.9 }, jittered: null },
  'vgg-c': { fixed: { top1: 28.1, top5: 9.4 }, jittered: { top1: 27.3, top5: 8.8 } },
  'vgg-d': { fixed: { top1: 27, top5: 8.8 }, jittered: { top1: 25.6, top5: 8.1 } },
  'vgg-e': { fixed: { top1: 27.3, top5: 9 }, jittered: { top1: 25.5, top5: 8 } },
}
