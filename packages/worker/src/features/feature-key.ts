import { createHash } from 'node:crypto'
import type { Preprocessing } from '@lockstep/data/preprocessing.js'
import type { DataDigests } from '@lockstep/data/data-digests.js'
import { invariant } from '@lockstep/shared/errors/train-error.js'
import { baseFeatures } from '@lockstep/shared/models/base-features.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { canonicalJson } from '@lockstep/shared/recipe/recipe-digest.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'

/** All that decides the bits of cached features. */
export interface FeatureOrigin {
  readonly recipe: Recipe
  readonly network: Network
  readonly data: DataDigests
  readonly preprocessing: Preprocessing
  /** SHA-256 over what this engine makes of pictures that everyone can draw, with these frozen weights. */
  readonly engine: string
}

/**
 * Names features by what they are made from: the base's values and layers, the pictures and their order, how they are prepared, the size of a
 * batch, and the engine. The head, the seed of its weights and the length of the training are not among it, so many runs share them.
 */
export function featureKey({ recipe, network, data, preprocessing, engine }: FeatureOrigin): string {
  const { model, batch, seed } = recipe
  const features = baseFeatures(network)
  invariant(features !== undefined && model.weightsDigest !== undefined, 'features are those of a frozen base')
  const { scale: _scale, classes: _classes, ...pictures } = preprocessing
  const origin = {
    format: 'lockstep-features-1',
    weights: model.weightsDigest,
    base: { inputShape: network.inputShape, layers: network.layers.slice(0, features.layers) },
    // with {split} the seed says which pictures are trained on
    data: [data, recipe.data.classes ?? null, typeof recipe.data.validation === 'string' ? null : [recipe.data.validation, seed]],
    pictures: { ...pictures, shortSide: recipe.data.augment.shortSide ?? model.inputSize },
    batch: batch.micro,
    engine,
  }
  return createHash('sha256').update(canonicalJson(origin)).digest('hex')
}
