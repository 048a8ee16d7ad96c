import { InvalidArgumentError, Option, type Command } from 'commander'
import { EVALUATION_PROTOCOLS } from '@lockstep/shared/recipe/schema.js'
import type { ViewsRequest } from '@lockstep/worker/standalone/messages.js'

/** How `evaluate` and `predict` are to look at pictures. */
export interface ViewOptions {
  protocol?: (typeof EVALUATION_PROTOCOLS)[number]
  scales?: number[]
  flip?: boolean
}

export function addViewOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--protocol <name>', 'how a picture is looked at (default: as in the training run)').choices(EVALUATION_PROTOCOLS),
    )
    .option(
      '--scales <pixels>',
      'test scales, as in 224,256,288: the smaller side of the picture (default: as in the training run)',
      scaleList,
    )
    .option('--flip', 'look at the mirror image too (default: as in the training run)')
    .option('--no-flip', 'never look at it, but for multi-crop')
}

export function viewsRequest({ protocol, scales, flip }: ViewOptions): ViewsRequest {
  return { protocol, scales, flip }
}

function scaleList(text: string): number[] {
  const scales = text.split(',').map(Number)
  if (scales.some((scale) => !Number.isSafeInteger(scale) || scale < 1)) {
    throw new InvalidArgumentError('Expected scales in pixels, as in 256 or 224,256,288.')
  }
  return scales
}
