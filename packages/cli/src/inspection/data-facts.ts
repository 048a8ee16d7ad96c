import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { listClassFolders } from '@lockstep/data/class-folders.js'
import { requireClasses } from '@lockstep/data/chosen-classes.js'
import { readDescription } from '@lockstep/data/sample-folder.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { splitIndices } from '@lockstep/shared/sampling/split.js'

/** What can be said of a recipe's data without reading a picture. */
export interface DataFacts {
  train: number
  validation: number
  classes: readonly string[]
}

interface FolderFacts {
  classes: readonly string[]
  /** samples of each class */
  counts: readonly number[]
  samples: number
}

/**
 * Counts a recipe's pictures and classes from the index of its shards, or from the names in its folders.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT, RECIPE_INVALID naming a class that is not there
 */
export async function readDataFacts(recipe: Recipe): Promise<DataFacts> {
  const { validation, classes } = recipe.data
  const folder = chosenOf(await readFolderFacts(recipe.data.train), classes, recipe.data.train)
  if (typeof validation === 'string') {
    const other = chosenOf(await readFolderFacts(validation), classes, validation)
    return { train: folder.samples, validation: other.samples, classes: folder.classes }
  }
  const labels = folder.counts.flatMap((samples, label) => new Array<number>(samples).fill(label))
  const split = splitIndices(labels, validation.split, recipe.seed)
  return { train: split.train.length, validation: split.validation.length, classes: folder.classes }
}

/** The same, or why the data cannot be counted: for a dry run missing data is a note, not an error. */
export async function readDataFactsOrReason(recipe: Recipe): Promise<DataFacts | { missing: string }> {
  try {
    return await readDataFacts(recipe)
  } catch (error) {
    if (error instanceof TrainError && error.code === 'DATA_MISSING') return { missing: error.message }
    throw error
  }
}

/** What is left of a folder by `data.classes`. */
function chosenOf(folder: FolderFacts, chosen: readonly string[] | undefined, path: string): FolderFacts {
  if (chosen === undefined) return folder
  requireClasses(folder.classes, chosen, path)
  const kept = folder.classes.map((name, index) => ({ name, count: folder.counts[index] ?? 0 })).filter(({ name }) => chosen.includes(name))
  const counts = kept.map(({ count }) => count)
  return { classes: kept.map(({ name }) => name), counts, samples: counts.reduce((sum, count) => sum + count, 0) }
}

async function readFolderFacts(path: string): Promise<FolderFacts> {
  const description = await readDescription(path)
  if (description !== null) return { classes: description.classes, counts: description.counts, samples: description.samples }
  const { classes, pictures } = await listClassFolders(path)
  const counts = classes.map(() => 0)
  for (const { label } of pictures) counts[label] = (counts[label] ?? 0) + 1
  return { classes, counts, samples: pictures.length }
}

/** Whether a file can be read as a recipe of a run: helps `inspect` to tell folders apart. */
export async function isRunDirectory(path: string): Promise<boolean> {
  return await readFile(join(path, 'recipe.yaml')).then(
    () => true,
    () => false,
  )
}
