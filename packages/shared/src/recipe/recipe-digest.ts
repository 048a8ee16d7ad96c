import { createHash } from 'node:crypto'
import { withDefaults } from './resolved-recipe.js'
import type { Recipe } from './schema.js'

/**
 * SHA-256 (hex) over what a recipe computes: canonical JSON of everything but `run`, `name` and paths; of `run`,
 * the exchange's precision where it is not float32. The digest of the data
 * speaks for the data's paths, the weights themselves for `initialization.from` and `model.weights`, of which only "there is one" counts;
 * those that are not trained have a digest in the recipe. For a network of the user's own its layers speak, and not the file they came from.
 */
export function recipeDigest(recipe: Recipe): string {
  const { name: _name, run, model, data, initialization, ...rest } = withDefaults(recipe)
  const { train: _train, validation, ...pictures } = data
  const { from, ...first } = initialization
  const { weights, from: _from, ...network } = model
  const computed = {
    ...rest,
    model: { ...network, ...(weights === undefined ? {} : { weights: true }) },
    data: { ...pictures, validation: typeof validation === 'string' ? 'folder' : validation },
    initialization: { ...first, from: from !== undefined },
    ...(run.exchange.precision === 'float32' ? {} : { exchangePrecision: run.exchange.precision }),
  }
  return createHash('sha256').update(canonicalJson(computed)).digest('hex')
}

/** JSON with sorted keys, no spaces, and nothing for `undefined`: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined)
  entries.sort(([left], [right]) => (left < right ? -1 : 1))
  return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${canonicalJson(entry)}`).join(',')}}`
}
