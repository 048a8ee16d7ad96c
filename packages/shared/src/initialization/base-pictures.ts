import { Checkpoint } from '../checkpoint/checkpoint.js'
import { normalizeOf } from '../recipe/resolved-recipe.js'
import type { Recipe } from '../recipe/schema.js'
import { openTransferSource } from './initial-weights.js'

type Statistics = NonNullable<Recipe['data']['statistics']>

/**
 * A base knows pictures as its own run normalized them. Where a recipe has `model.weights`, fills in `data.normalize` and `data.statistics`
 * from that checkpoint, as far as the recipe leaves them out; a file that does not say is normalized as any recipe's pictures are.
 * @throws TrainError CHECKPOINT_INVALID
 */
export async function withBasePictures(recipe: Recipe): Promise<Recipe> {
  const { model, data } = recipe
  if (model.weights === undefined || (data.normalize !== undefined && data.statistics !== undefined)) return recipe
  const source = await openTransferSource(model.weights)
  await source.close()
  const said = source instanceof Checkpoint ? source.metadata.preprocessing : {}
  const normalize = data.normalize ?? (said.normalize === 'mean' || said.normalize === 'meanAndStd' ? said.normalize : normalizeOf(recipe))
  const statistics = data.statistics ?? statisticsOf(said)
  return { ...recipe, data: { ...data, normalize, ...(statistics === undefined ? {} : { statistics }) } }
}

function statisticsOf({ mean, std, greyStd }: Readonly<Record<string, unknown>>): Statistics | undefined {
  if (!isColor(mean) || !isColor(std)) return undefined
  return { mean: [...mean], std: [...std], ...(typeof greyStd === 'number' ? { greyStd } : {}) }
}

function isColor(value: unknown): value is [number, number, number] {
  return Array.isArray(value) && value.length === 3 && value.every((part) => typeof part === 'number')
}
