import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeDigits } from '@lockstep/cli/picture-sets/digits.js'
import { DATASETS_FOLDER } from '@lockstep/cli/project-folders.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/** The recipe that measurements of whole runs use: VGG-A on digits, with changes that each of them states. */
export const DIGITS_RECIPE = fileURLToPath(new URL('../../../recipes/digits-vgg-a.yaml', import.meta.url))

/** Makes the digits where they are missing and reads the recipe. @param set changes as `path=value` */
export async function digitsRecipe(set: readonly string[]): Promise<Recipe> {
  await makeDigits(join(DATASETS_FOLDER, 'digits'))
  return (await loadRecipe(DIGITS_RECIPE, { set })).recipe
}

/** A line of a coordinator's log. Times are milliseconds since 1970. */
export interface LogLine {
  readonly timeMs: number
  readonly msg: string
  readonly worker?: string
  readonly pid?: number
  readonly step?: number
  readonly first?: number
  readonly count?: number
}

/** The coordinator's log of a run, as written under LOCKSTEP_LOG_LEVEL=debug. */
export async function coordinatorLog(run: string): Promise<LogLine[]> {
  const text = await readFile(join(run, 'logs', 'coordinator.log'), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const { time, ...rest } = JSON.parse(line) as Omit<LogLine, 'timeMs'> & { time: string }
      return { ...rest, timeMs: Date.parse(time) }
    })
}
