import { modelProblems, normalizesBatches } from '../models/families.js'
import type { RecipeProblem } from './problems.js'
import type { Recipe } from './schema.js'

/**
 * What one key alone cannot tell: rules between keys. Each problem names the key to change and the values that would do.
 */
export function inconsistencies(recipe: Recipe): RecipeProblem[] {
  return [
    ...networkProblems(recipe),
    ...batchProblems(recipe),
    ...lengthProblems(recipe),
    ...sizeProblems(recipe),
    ...optimizerProblems(recipe),
    ...regressionProblems(recipe),
    ...sourceProblems(recipe),
    ...cacheProblems(recipe),
    ...scheduleProblems(recipe),
    ...runProblems(recipe),
    ...precisionProblems(recipe),
  ]
}

/** Every whole number that divides n, rising. */
export function divisorsOf(n: number): number[] {
  const low: number[] = []
  const high: number[] = []
  for (let divisor = 1; divisor * divisor <= n; divisor++) {
    if (n % divisor !== 0) continue
    low.push(divisor)
    if (divisor * divisor !== n) high.unshift(n / divisor)
  }
  return [...low, ...high]
}

function networkProblems({ model, batch }: Recipe): RecipeProblem[] {
  const problems = modelProblems(model).map(({ key, message }) => problem(['model', key], message))
  if (batch.micro === 1 && normalizesBatches(model)) {
    const message = 'batch.micro must be 2 or more: batch normalization takes mean and variance over the pictures computed at once'
    problems.push(problem(['batch', 'micro'], message))
  }
  return problems
}

/** What travels as bfloat16 is not exact, and has to be said so; and what rests on exactness is not there with it. */
function precisionProblems({ exact, audit, run }: Recipe): RecipeProblem[] {
  if (run.exchange.precision === 'float32') {
    const message = 'exact: false allows run.exchange.precision: bfloat16 and nothing else: leave it out'
    return exact ? [] : [problem(['exact'], message)]
  }
  const problems: RecipeProblem[] = []
  if (exact) {
    const message =
      'run.exchange.precision: bfloat16 gives up that the result is the same for any number of workers: set exact: false, or float32'
    problems.push(problem(['run', 'exchange', 'precision'], message))
  }
  if (audit.share > 0) {
    const message = 'audit.share must be 0 with run.exchange.precision: bfloat16: two workers send the same leaf with other bits'
    problems.push(problem(['audit', 'share'], message))
  }
  return problems
}

function batchProblems({ batch }: Recipe): RecipeProblem[] {
  const { global, micro, leaf } = batch
  if (global % (micro * leaf) === 0) return []
  const start = `batch: a global batch of ${String(global)} does not divide into leaves of ${String(micro * leaf)} (micro ${String(micro)} × leaf ${String(leaf)})`
  if (global % micro === 0)
    return [problem(['batch', 'leaf'], `${start}; with micro ${String(micro)}, leaf can be ${listed(divisorsOf(global / micro), leaf)}`)]
  const micros =
    global % leaf === 0
      ? `with leaf ${String(leaf)}, micro can be ${listed(divisorsOf(global / leaf), micro)}`
      : `with leaf 1, micro can be ${listed(divisorsOf(global), micro)}`
  const nearby = Math.max(1, Math.round(global / (micro * leaf))) * micro * leaf
  return [problem(['batch', 'micro'], `${start}; ${micros}; or take a global batch of ${String(nearby)}`)]
}

/** At most a dozen values, those nearest to the one that was meant. */
function listed(values: readonly number[], meant: number): string {
  const distance = (value: number): number => Math.abs(Math.log(value / meant))
  const near = values.length <= 12 ? [...values] : [...values].sort((left, right) => distance(left) - distance(right)).slice(0, 12)
  const sorted = near.sort((left, right) => left - right).map(String)
  return sorted.length === 1 ? (sorted[0] ?? '') : `${sorted.slice(0, -1).join(', ')} or ${sorted.at(-1) ?? ''}`
}

function lengthProblems({ steps, epochs, evaluation }: Recipe): RecipeProblem[] {
  const problems: RecipeProblem[] = []
  if (steps === undefined && epochs === undefined) {
    problems.push(problem([], 'the recipe does not say how long to train: give steps (updates in all) or epochs (passes over the data)'))
  }
  if (steps !== undefined && epochs !== undefined)
    problems.push(onKey(['epochs'], 'steps and epochs both say how long to train: keep one of them'))
  if (evaluation.everyEpochs !== undefined && evaluation.everySteps !== undefined) {
    problems.push(
      onKey(['evaluation', 'everySteps'], 'evaluation.everyEpochs and evaluation.everySteps both say when to evaluate: keep one of them'),
    )
  }
  return problems
}

function sizeProblems({ model, data, evaluation }: Recipe): RecipeProblem[] {
  const problems: RecipeProblem[] = []
  const { shortSide } = data.augment
  const path = ['data', 'augment', 'shortSide']
  const smallest = Array.isArray(shortSide) ? shortSide[0] : shortSide
  if (smallest !== undefined && smallest < model.inputSize) {
    problems.push(
      problem(
        path,
        `data.augment.shortSide must be at least the input size ${String(model.inputSize)}, not ${String(smallest)}: nothing can be cut from a smaller picture`,
      ),
    )
  }
  if (Array.isArray(shortSide) && shortSide[0] > shortSide[1]) {
    problems.push(problem(path, `data.augment.shortSide must rise, not go from ${String(shortSide[0])} to ${String(shortSide[1])}`))
  }
  const scale = evaluation.scales?.find((each) => each < model.inputSize)
  if (scale !== undefined) {
    problems.push(
      problem(
        ['evaluation', 'scales'],
        `evaluation.scales must be at least the input size ${String(model.inputSize)}, not ${String(scale)}`,
      ),
    )
  }
  return problems
}

function optimizerProblems({ optimizer }: Recipe): RecipeProblem[] {
  if (!optimizer.nesterov || optimizer.momentum > 0) return []
  return [problem(['optimizer', 'nesterov'], 'optimizer.nesterov needs a momentum above 0, such as 0.9: without one it changes nothing')]
}

/** What speaks of classes has no meaning where a value is learned. */
function regressionProblems({ model, loss, learningRate }: Recipe): RecipeProblem[] {
  if (model.task !== 'regression') return []
  const problems: RecipeProblem[] = []
  const { schedule } = learningRate
  if (loss.labelSmoothing > 0)
    problems.push(problem(['loss', 'labelSmoothing'], 'loss.labelSmoothing is for classes, and a regression has none; leave it out'))
  if (schedule.type === 'plateau' && schedule.monitor !== 'loss') {
    const message = `learningRate.schedule.monitor cannot be ${schedule.monitor} in a regression, which learns a value; set it to loss`
    problems.push(problem(['learningRate', 'schedule', 'monitor'], message))
  }
  return problems
}

function sourceProblems({ model, initialization }: Recipe): RecipeProblem[] {
  if (model.weights === undefined || initialization.from === undefined) return []
  return [onKey(['initialization', 'from'], 'model.weights and initialization.from both say where weights come from: keep one of them')]
}

/** Features are kept of pictures that look the same in every epoch. */
function cacheProblems({ model, data }: Recipe): RecipeProblem[] {
  if (model.cacheFeatures !== true) return []
  const { shortSide, crop, flip, colorShift } = data.augment
  const random: [key: string, is: boolean, remedy: string][] = [
    ['shortSide', Array.isArray(shortSide), 'give one number'],
    ['crop', crop === 'random', 'set crop: center'],
    ['flip', flip, 'set flip: false'],
    ['colorShift', colorShift > 0, 'set colorShift: 0'],
  ]
  return random
    .filter(([, is]) => is)
    .map(([key, , remedy]) =>
      problem(
        ['data', 'augment', key],
        `data.augment.${key} makes a picture look different in every epoch, which model.cacheFeatures cannot keep: ${remedy}, or leave out model.cacheFeatures`,
      ),
    )
}

function scheduleProblems({ learningRate }: Recipe): RecipeProblem[] {
  const { schedule } = learningRate
  if (schedule.type !== 'steps') return []
  const unordered = schedule.at.findIndex((step, index) => index > 0 && step <= (schedule.at[index - 1] ?? 0))
  return unordered < 0
    ? []
    : [problem(['learningRate', 'schedule', 'at', unordered], 'learningRate.schedule.at must rise from drop to drop')]
}

function runProblems({ run }: Recipe): RecipeProblem[] {
  const problems: RecipeProblem[] = []
  const { count, minimum, maximum } = run.workers
  if (minimum > maximum)
    problems.push(problem(['run', 'workers', 'minimum'], `run.workers.minimum ${String(minimum)} is above maximum ${String(maximum)}`))
  if (count > maximum)
    problems.push(problem(['run', 'workers', 'count'], `run.workers.count ${String(count)} is above maximum ${String(maximum)}`))
  if (count > 0 && count < minimum) {
    problems.push(
      problem(
        ['run', 'workers', 'count'],
        `run.workers.count ${String(count)} is below minimum ${String(minimum)}: raise it, or take count 0 and start workers yourself`,
      ),
    )
  }
  if (/^rediss?:\/\/[^/@]*:[^/@]*@/.test(run.queue)) {
    problems.push(problem(['run', 'queue'], 'run.queue must not hold a password: put it into the environment as LOCKSTEP_QUEUE_PASSWORD'))
  }
  return problems
}

function problem(path: readonly PropertyKey[], message: string): RecipeProblem {
  return { path, message, onKey: false, between: true }
}

function onKey(path: readonly PropertyKey[], message: string): RecipeProblem {
  return { path, message, onKey: true, between: true }
}
