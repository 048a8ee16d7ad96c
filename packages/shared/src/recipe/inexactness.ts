import type { Recipe } from './schema.js'

/** Why the result of a recipe is not one bit pattern for any number of workers, in a few words; null: it is. */
export function inexactness({ run }: Recipe): string | null {
  if (run.exchange.precision === 'float32') return null
  return 'run.exchange.precision: bfloat16 rounds what travels, so the result depends on which worker computed what'
}
