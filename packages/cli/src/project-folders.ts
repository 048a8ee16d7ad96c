import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

/** The project's own folders, found from where this file is built to. */
const PROJECT = fileURLToPath(new URL('../../../', import.meta.url))

export const DATASETS_FOLDER = join(PROJECT, 'datasets')

/** A recipe that comes with the project. @param name without .yaml */
export function recipeFile(name: string): string {
  return join(PROJECT, 'recipes', `${name}.yaml`)
}
