import { TrainError } from '@lockstep/shared/errors/train-error.js'
import type { SampleFolder, SampleSource } from './sample-folder.js'
import { SampleSubset } from './sample-subset.js'

/** The part of a folder that a recipe's `data.classes` leaves. */
export interface ChosenClasses {
  /** In the folder's order, whatever the recipe's. */
  readonly classes: string[]
  readonly source: SampleSource
  /** Sample numbers in the folder, rising; undefined: all. */
  readonly samples: Uint32Array | undefined
}

/** @throws TrainError RECIPE_INVALID naming the first of `chosen` that the folder does not have */
export function requireClasses(classes: readonly string[], chosen: readonly string[], path: string): void {
  const stranger = chosen.find((name) => !classes.includes(name))
  if (stranger === undefined) return
  const there = `${classes.slice(0, 12).join(', ')}${classes.length > 12 ? ', …' : ''}`
  throw new TrainError('RECIPE_INVALID', `data.classes: ${path} has no class ${stranger}; name some of ${there}`)
}

/**
 * The samples of some classes, numbered anew from 0.
 * @param chosen names of classes; undefined: all of the folder
 * @throws TrainError RECIPE_INVALID naming a class that the folder does not have
 */
export function chooseClasses(folder: SampleFolder, chosen: readonly string[] | undefined): ChosenClasses {
  const { classes } = folder.description
  if (chosen === undefined) return { classes, source: folder, samples: undefined }
  requireClasses(classes, chosen, folder.path)
  const kept = classes.filter((name) => chosen.includes(name))
  const labels = classes.map((name) => kept.indexOf(name))
  const samples = Uint32Array.from(Array.from({ length: folder.size }, (_, i) => i).filter((i) => (labels[folder.label(i)] ?? -1) >= 0))
  return { classes: kept, source: new SampleSubset(folder, samples, labels), samples }
}
