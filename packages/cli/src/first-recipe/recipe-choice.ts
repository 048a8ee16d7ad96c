import { familyDefaults, familyOf } from '@lockstep/shared/models/families.js'
import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { PictureFacts } from './picture-facts.js'

/** Share of the pictures kept aside for validation. */
export const SPLIT = 0.1
/** Updates that a small network needs to get anywhere. */
const USEFUL_STEPS = 1_500
/** With fewer validation pictures an accuracy jumps about too much to steer the learning rate. */
const PLATEAU_PICTURES = 200

/** The numbers of a first recipe, chosen from what the pictures are like. */
export interface RecipeChoice {
  model: Recipe['model']['name']
  inputSize: number
  width: number
  /** null: as the network has it, which has none or its own */
  fullyConnected: [number, number] | null
  /** training scale, a little more than the input, so that a random crop has room */
  shortSide: number
  flip: boolean
  global: number
  micro: number
  /** the paper's 0.01 is for large batches; small ones are noisy, and want smaller steps */
  learningRate: number
  epochs: number
  schedule: { type: 'plateau' } | { type: 'steps'; at: number[] }
  evaluationEpochs: number
  workers: number
}

/**
 * Chooses a recipe that trains in reasonable time on a processor.
 * @param cores of this machine
 */
export function chooseRecipe(facts: PictureFacts, { model, cores }: { model: Recipe['model']['name']; cores: number }): RecipeChoice {
  const { smallestInput, inputSize: usual } = familyDefaults(model)
  const inputSize = Math.max(smallestInput, Math.min(usual, inputSizeFor(facts.medianShortSide)))
  const narrow = facts.pictures < 5_000 || inputSize <= 64 ? 0.25 : inputSize <= 128 ? 0.5 : 1
  // it is small as it is
  const width = model === 'small-cnn' ? 1 : narrow
  const units = 1024 * width * (width === 1 ? 4 : 1)
  const train = facts.validation === null ? Math.max(1, Math.round(facts.pictures * (1 - SPLIT))) : facts.pictures
  const global = clamp(powerOfTwoBelow(train / 8), 8, 128)
  const leaves = global >= 64 ? 8 : 4
  const stepsPerEpoch = train / global
  const epochs = clamp(Math.ceil(USEFUL_STEPS / stepsPerEpoch), 8, 60)
  const steps = Math.ceil(epochs * stepsPerEpoch)
  const validation = facts.validation === null ? facts.pictures * SPLIT : PLATEAU_PICTURES
  return {
    model,
    inputSize,
    width,
    fullyConnected: familyOf(model) === 'resnet' || familyOf(model) === 'small-cnn' ? null : [units, units],
    shortSide: Math.round((inputSize * 8) / 7),
    flip: facts.medianShortSide >= 96,
    global,
    micro: global / leaves,
    learningRate: global >= 64 ? 0.01 : 0.003,
    epochs,
    schedule: validation >= PLATEAU_PICTURES ? { type: 'plateau' } : { type: 'steps', at: risingSteps(steps) },
    evaluationEpochs: Math.max(1, Math.ceil(20 / stepsPerEpoch)),
    workers: clamp(cores, 1, Math.min(4, leaves)),
  }
}

/** The largest usual input that pictures of this size fill. */
function inputSizeFor(shortSide: number): number {
  if (shortSide < 48) return 32
  if (shortSide < 96) return 64
  return shortSide < 192 ? 128 : 224
}

/** Drops late in the run: after 60 % and 85 % of the steps. */
function risingSteps(steps: number): number[] {
  const first = Math.max(1, Math.round(steps * 0.6))
  return [first, Math.max(first + 1, Math.round(steps * 0.85))]
}

function powerOfTwoBelow(value: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, value))))
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}
