import { viewsInWords } from '@lockstep/shared/sampling/evaluation-views.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { inexactness } from '@lockstep/shared/recipe/inexactness.js'
import type { ResolvedRecipe } from '@lockstep/shared/recipe/resolved-recipe.js'
import type { Recipe, ScheduleRecipe } from '@lockstep/shared/recipe/schema.js'
import { fields } from '../terminal/table.js'
import { bytes, count, rate, significant } from '../terminal/units.js'
import type { RecipeDescription } from './recipe-description.js'

/** What a recipe comes to, for a person. */
export function recipeLines(recipe: Recipe, description: RecipeDescription, resolved: ResolvedRecipe, network: Network): string[] {
  const { data, steps, epochs, leaves, workers, exchange, memory } = description
  const { batch, optimizer, learningRate } = recipe
  const length =
    steps === null
      ? `${String(epochs)} epochs; how many steps that is, the data will tell`
      : `${count(steps)}${epochs === null ? '' : ` (${significant(epochs)} epochs)`}`
  const every =
    description.evaluationEvery === null
      ? `every ${String(recipe.evaluation.everyEpochs)} epochs`
      : `every ${count(description.evaluationEvery)} steps`
  const inexact = inexactness(recipe)
  const idle = workers > leaves ? `; only ${String(leaves)} can compute at once` : ''
  const entries: [string, string][] = [
    [
      'network',
      `${network.name}, ${network.inputShape.join('×')} input, ${count(network.classes)} classes${data.found ? '' : ' (assumed)'}`,
    ],
    ['parameters', parametersLine(description.network)],
    ['MACs an image', count(description.network.macs)],
    [
      'activations',
      `${bytes(description.network.activationBytes)} an image forward, ${bytes(description.network.trainingBytes)} in training`,
    ],
    [
      'data',
      data.found
        ? `${count(data.train)} pictures to train on, ${count(data.validation)} to validate, ${count(data.classes)} classes`
        : 'not there',
    ],
    ['pictures', picturesLine(recipe, resolved)],
    ['step', `${count(batch.global)} samples: ${count(leaves)} leaves of ${count(batch.leaf)} × ${count(batch.micro)}`],
    ['steps', length],
    ['evaluation', `${every}, ${viewsInWords({ ...recipe.evaluation, scales: resolved.scales })}`],
    ...lossLine(recipe),
    ['optimizer', optimizerLine(optimizer)],
    [
      'learning rate',
      `${rate(learningRate.initial)}${learningRate.warmupSteps > 0 ? ` after ${count(learningRate.warmupSteps)} steps of warm-up` : ''}, ${scheduleInWords(learningRate.schedule)}`,
    ],
    ['initialization', initializationLine(recipe)],
    ['workers', workers === 0 ? 'none here: others join' : `${count(workers)} here${idle}`],
    [
      'a step exchanges',
      `${bytes(exchange.gradients)} of gradients, ${bytes(exchange.weights)} of weights${workers > 1 ? `, ${String(workers)} workers together` : ''}`,
    ],
    ['memory', `about ${bytes(memory.worker)} a worker, ${bytes(memory.coordinator)} the coordinator`],
    ...(inexact === null ? [] : [['exact', `no: ${inexact}`] satisfies [string, string]]),
    ['recipe digest', description.digest],
  ]
  return [recipe.name, ...fields(entries).map((line) => `  ${line}`), ...(data.found ? [] : ['', `note: ${data.reason}`])]
}

function picturesLine({ data, model }: Recipe, { shortSide, normalize }: ResolvedRecipe): string {
  const { augment } = data
  const [from, to] = shortSide
  const parts = [
    `short side ${from === to ? String(from) : `${String(from)} to ${String(to)}`}`,
    `${augment.crop} crop of ${String(model.inputSize)}`,
    ...(augment.flip ? ['flips'] : []),
    ...(augment.colorShift > 0 ? [`colour shift ${String(augment.colorShift)}`] : []),
    normalizedInWords(model.weights !== undefined && data.normalize === undefined ? 'base' : normalize),
  ]
  return parts.join(', ')
}

function normalizedInWords(normalize: 'base' | ResolvedRecipe['normalize']): string {
  if (normalize === 'base') return 'normalized as those of the base were'
  return normalize === 'mean' ? 'minus the mean' : 'minus the mean, by the standard deviation'
}

function lossLine({ loss, model }: Recipe): [string, string][] {
  if (model.task === 'regression') return [['loss', 'mean squared error of one value; its targets are the names of the class folders']]
  return loss.labelSmoothing === 0 ? [] : [['loss', `cross entropy, labels smoothed by ${String(loss.labelSmoothing)} in training`]]
}

function optimizerLine({ momentum, nesterov, weightDecay, decayOn, clipNorm }: Recipe['optimizer']): string {
  const clipped = clipNorm === undefined ? '' : `, gradients clipped to the norm ${String(clipNorm)}`
  return `sgd, ${nesterov ? 'Nesterov ' : ''}momentum ${String(momentum)}, weight decay ${String(weightDecay)} on ${decayOn}${clipped}`
}

function parametersLine({ parameters, frozen }: RecipeDescription['network']): string {
  const all = `${count(parameters)} (${bytes(parameters * 4)})`
  return frozen === 0 ? all : `${all}: ${count(parameters - frozen)} (${bytes((parameters - frozen) * 4)}) trained, ${count(frozen)} frozen`
}

function initializationLine({ initialization, model }: Recipe): string {
  const { method, std, from, newHead } = initialization
  const random = method === 'normal' ? `normal, standard deviation ${String(std)}` : method
  if (model.weights !== undefined)
    return `everything before the head from ${model.weights}${model.trainable === false ? ', frozen' : ''}; the head ${random}`
  return from === undefined ? random : `from ${from}${newHead ? ' without its last layer' : ''}, the rest ${random}`
}

/** A schedule in a few words. */
export function scheduleInWords(schedule: ScheduleRecipe): string {
  switch (schedule.type) {
    case 'plateau':
      return `× ${String(schedule.factor)} when ${schedule.monitor} has not improved in ${String(schedule.patience)} evaluations, at most ${String(schedule.maxDrops)} times${schedule.thenStop ? ', then the end' : ''}`
    case 'steps':
      return `× ${String(schedule.factor)} at step ${schedule.at.map(count).join(', ')}`
    case 'cosine':
      return 'down along a cosine'
    case 'constant':
      return 'constant'
  }
}
