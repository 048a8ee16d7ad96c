import { readFile, rm, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeEmoji } from '@lockstep/cli/picture-sets/emoji.js'
import { DATASETS_FOLDER, recipeFile } from '@lockstep/cli/project-folders.js'
import type { Narrator } from '@lockstep/cli/terminal/narrator.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { followed } from './followed-training.js'
import { summaryOf } from '@lockstep/cli/measurement/statistics.js'

/** Steps of a measured training. */
const STEPS = 50

/**
 * recipes/emoji-transfer.yaml with model.cacheFeatures and without, in turn: seconds of a step, and what making the features took. The base
 * has learned nothing, since no time depends on that.
 */
export async function measureCachedFeatures(narrator: Narrator, rounds: number): Promise<void> {
  const base = await mkdtemp(join(tmpdir(), 'lockstep-features-'))
  process.env.XDG_CACHE_HOME = join(base, 'cache')
  try {
    await makeEmoji(join(DATASETS_FOLDER, 'emoji'), { onProgress: ({ what, done, total }) => narrator.progress(done, total, what) })
    const { recipe: former } = await loadRecipe(recipeFile('emoji-base'), { set: ['epochs=0.001'] })
    const { directory } = await followed(former, base, narrator)
    const { recipe: written } = await loadRecipe(recipeFile('emoji-transfer'))
    const { epochs: _epochs, ...whole } = written
    const weights = join(directory, 'checkpoints', 'latest.safetensors')
    const recipe: Recipe = { ...whole, steps: STEPS, model: { ...whole.model, weights } }
    const seconds = { computed: [] as number[], cached: [] as number[] }
    for (let round = 0; round < rounds; round++) {
      seconds.computed.push(await stepSeconds(recipe, base, narrator))
      seconds.cached.push(await stepSeconds({ ...recipe, model: { ...recipe.model, cacheFeatures: true } }, base, narrator))
    }
    narrator.settle()
    narrator.line(
      `${String(recipe.run.workers.count)} workers, steps of ${String(recipe.batch.global)} pictures, ${String(rounds)} trainings each`,
    )
    const [computed, cached] = [summaryOf(seconds.computed), summaryOf(seconds.cached)]
    for (const [what, { median, spread }] of [
      ['the base in every step', computed],
      ['cached features', cached],
    ] as const) {
      const [lower, upper] = spread.map((value) => (value * 1000).toFixed(0))
      narrator.line(`  ${what}: ${(median * 1000).toFixed(0)} ms a step, quartiles ${lower ?? ''} … ${upper ?? ''}`)
    }
    narrator.line(`  ${(computed.median / cached.median).toFixed(1)} times as fast`)
  } finally {
    narrator.settle()
    await rm(base, { recursive: true, force: true })
  }
}

/** Median over the steps of a training, the first few left out. */
async function stepSeconds(recipe: Recipe, base: string, narrator: Narrator): Promise<number> {
  const { directory } = await followed(recipe, base, narrator)
  const lines = (await readFile(join(directory, 'metrics.jsonl'), 'utf8')).trim().split('\n')
  const steps = lines.map((line) => JSON.parse(line) as { type: string; seconds: number }).filter(({ type }) => type === 'step')
  for (const made of await makingOf(directory, recipe.run.workers.count)) narrator.line(`  ${made}`)
  return summaryOf(steps.slice(5).map(({ seconds }) => seconds)).median
}

/** What workers say of the features that they made. */
async function makingOf(directory: string, workers: number): Promise<string[]> {
  const told: string[] = []
  for (let number = 1; number <= workers; number++) {
    const log = await readFile(join(directory, 'logs', `worker-${String(number)}.log`), 'utf8')
    const line = log.split('\n').find((one) => one.includes('features of the frozen base are there'))
    if (line === undefined) continue
    const { made, batches, seconds } = JSON.parse(line) as { made: number; batches: number; seconds: number }
    told.push(`worker ${String(number)} made ${String(made)} of ${String(batches)} batches of features in ${seconds.toFixed(1)} s`)
  }
  return told
}
