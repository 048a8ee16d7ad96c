import type { Narrator } from '@lockstep/cli/terminal/narrator.js'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import { train } from '@lockstep/coordinator/train.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

export interface FollowedTraining {
  readonly directory: string
  readonly summary: RunSummary
  /** On the validation pictures, after the last step. */
  readonly top1: number
}

/** Trains to the end, with a bar. Ctrl-C ends it, and the measurement with it. */
export async function followed(recipe: Recipe, base: string, narrator: Narrator): Promise<FollowedTraining> {
  const abort = new AbortController()
  const stop = (): void => {
    abort.abort('SIGINT')
  }
  process.once('SIGINT', stop)
  try {
    for await (const event of train(recipe, { base, signal: abort.signal })) {
      if (event.type === 'step') narrator.progress(event.step, event.steps, `${recipe.name} loss ${event.loss.toFixed(3)}`)
      if (event.type !== 'summary' || abort.signal.aborted) continue
      return { directory: event.directory, summary: event.summary, top1: event.summary.top1 ?? Number.NaN }
    }
    throw new Error(`${recipe.name} was stopped`)
  } finally {
    process.off('SIGINT', stop)
  }
}
