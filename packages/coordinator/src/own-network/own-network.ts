import { readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { familyDefaults, outputUnits } from '@lockstep/shared/models/families.js'
import { convertNetwork } from '@lockstep/shared/own-network/network-conversion.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { describeModule } from './module-process.js'

export interface ReadOptions {
  /** Told of what was understood otherwise than it was written. */
  readonly onNote: (note: string) => void
  readonly signal?: AbortSignal | undefined
  /** Default: two minutes. */
  readonly limitMs?: number
}

/** A module may build something large, on a slow machine; it does so once a run. */
const LIMIT_MS = 120_000

/**
 * The recipe with the layers of the network of the user's own in it; any other recipe as it is, and one that has them already.
 * From then on neither worker nor resume needs the file.
 * @param classes of the data
 * @throws TrainError RECIPE_INVALID naming the file, the layer, the reason and the remedy; the signal's reason
 */
export async function withOwnNetwork(recipe: Recipe, classes: number, options: ReadOptions): Promise<Recipe> {
  const { model } = recipe
  const { from, layers, inputSize, channels, task = 'classes' } = model
  if (from === undefined || layers !== undefined) return recipe
  const isSaved = await isSavedModel(from)
  const config = isSaved
    ? await readTopology(isSaved)
    : await describeModule(
        { module: from, inputSize, channels: channels ?? familyDefaults(model.name).channels, classes },
        { limitMs: options.limitMs ?? LIMIT_MS, signal: options.signal },
      )
  const units = outputUnits(model, classes)
  const converted = convertNetwork(config, { source: basename(from), inputSize, channels, units, task })
  for (const note of converted.notes) options.onNote(note)
  if (isSaved)
    options.onNote(
      `${basename(from)}: its layers are taken, its weights are not; training starts from those of the recipe (initialization)`,
    )
  return {
    ...recipe,
    model: { ...model, ...(converted.channels === 3 ? {} : { channels: converted.channels }), layers: converted.layers },
  }
}

/** @returns the path of the model.json, or false where this is a module */
async function isSavedModel(path: string): Promise<string | false> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw refused(path, 'there is no such file; give the path of a module, relative to the recipe')
  if (!found.isDirectory()) {
    if (/\.json$/i.test(path)) return path
    if (/\.[mc]?js$/i.test(path)) return false
    throw refused(
      path,
      'this is neither a module nor a model.json; give a .mjs that makes the model, or convert a Keras model to tfjs_layers_model',
    )
  }
  const inside = join(path, 'model.json')
  if ((await stat(inside).catch(() => undefined))?.isFile() === true) return inside
  throw refused(path, 'this folder has no model.json in it; give the path of a module, or of a saved model')
}

/** @returns `{class_name, config}`: the converter writes it below model_config, tfjs itself without */
async function readTopology(path: string): Promise<unknown> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw refused(path, `it is not whole JSON (${error instanceof Error ? error.message : String(error)}); copy or save it again`)
  }
  const { format, modelTopology } = (typeof json === 'object' && json !== null ? json : {}) as { format?: unknown; modelTopology?: unknown }
  if (format === 'graph-model')
    throw refused(path, 'it is a GraphModel, whose layers are folded into operations; convert with --output_format tfjs_layers_model')
  if (typeof modelTopology === 'object' && modelTopology !== null && 'model_config' in modelTopology) return modelTopology.model_config
  return modelTopology
}

function refused(path: string, why: string): TrainError {
  return new TrainError('RECIPE_INVALID', `model.from: ${path}: ${why}`)
}
