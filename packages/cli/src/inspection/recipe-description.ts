import { describeNetwork } from '@lockstep/shared/models/description.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { coordinatorBytes, exchangedBytes, workerBytes, type ExchangedBytes } from '@lockstep/shared/models/memory.js'
import { networkOf, type Network } from '@lockstep/shared/models/network.js'
import { trainedPart } from '@lockstep/shared/parameters/layout.js'
import { recipeDigest, resolveRecipe } from '@lockstep/shared/recipe/load.js'
import type { ResolvedRecipe } from '@lockstep/shared/recipe/resolved-recipe.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import { withTargets } from '@lockstep/shared/recipe/targets.js'
import { withOwnNetwork } from '@lockstep/coordinator/own-network/own-network.js'
import { readDataFactsOrReason, type DataFacts } from './data-facts.js'

/** Classes counted with while the data is not there: those of ImageNet. */
const ASSUMED_CLASSES = 1000

/** What a recipe comes to, as plain JSON. */
export interface RecipeDescription {
  name: string
  digest: string
  network: {
    name: string
    inputSize: number
    classes: number
    parameters: number
    /** Those of them that are not trained. */
    frozen: number
    macs: number
    activationBytes: number
    trainingBytes: number
  }
  data: { found: true; train: number; validation: number; classes: number } | { found: false; reason: string }
  /** null while the data is not there and the recipe counts in epochs */
  steps: number | null
  epochs: number | null
  leaves: number
  microBatches: number
  evaluationEvery: number | null
  workers: number
  /** Bytes that travel in one step, all workers together, with spans of equal size. */
  exchange: ExchangedBytes
  /** Estimated peaks, bytes. */
  memory: { worker: number; coordinator: number }
}

export interface DescribedRecipe {
  readonly description: RecipeDescription
  readonly network: Network
  readonly resolved: ResolvedRecipe
  /** The same, with the layers of a network of the user's own. */
  readonly recipe: Recipe
  /** What of such a network was understood otherwise than it was written. */
  readonly notes: readonly string[]
}

/** Describes a recipe from its text and what is known of its data. No picture is read, nothing is written. */
export async function describeRecipe(given: Recipe): Promise<DescribedRecipe> {
  const facts = await readDataFactsOrReason(given)
  const found = 'missing' in facts ? undefined : facts
  const classes = found?.classes.length ?? (given.model.task === 'binary' ? 2 : ASSUMED_CLASSES)
  const notes: string[] = []
  const known = found === undefined ? given : withTargets(given, found.classes)
  const recipe = await withOwnNetwork(known, classes, { onNote: (note) => notes.push(note) })
  const network = networkOf(recipe.model, classes)
  // without data only what does not depend on its size is used of this
  const resolved = resolveRecipe(recipe, found?.train ?? 1)
  const { parameters, frozen, macs, activationBytes, trainingBytes } = describeNetwork(network)
  const workers = Math.max(1, recipe.run.workers.count)
  const narrow = recipe.run.exchange.precision === 'bfloat16'
  const layout = trainedPart(layoutOf(network))
  const measures = { network, layout, microBatch: recipe.batch.micro, leaves: resolved.leaves, workers, narrow }
  const steps = found === undefined ? (recipe.steps ?? null) : resolved.steps
  const description: RecipeDescription = {
    name: recipe.name,
    digest: recipeDigest(recipe),
    network: {
      name: network.name,
      inputSize: recipe.model.inputSize,
      classes: network.classes,
      parameters,
      frozen,
      macs,
      activationBytes,
      trainingBytes,
    },
    data: 'missing' in facts ? { found: false, reason: facts.missing } : dataOf(facts),
    steps,
    epochs: found === undefined || steps === null ? (recipe.epochs ?? null) : steps / resolved.stepsPerEpoch,
    leaves: resolved.leaves,
    microBatches: resolved.microBatches,
    evaluationEvery: found === undefined ? (recipe.evaluation.everySteps ?? null) : resolved.evaluationEvery,
    workers: recipe.run.workers.count,
    exchange: exchangedBytes(measures),
    memory: { worker: workerBytes(measures), coordinator: coordinatorBytes(measures) },
  }
  return { description, network, resolved, recipe, notes }
}

function dataOf({ train, validation, classes }: DataFacts): RecipeDescription['data'] {
  return { found: true, train, validation, classes: classes.length }
}
