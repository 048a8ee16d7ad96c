import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { GradientNorm } from '@lockstep/averager/gradient-norm.js'
import { updateRangesOf } from '@lockstep/averager/slice-update.js'
import { Arena } from '@lockstep/shared/kernels/arena.js'
import { LOCAL_RESPONSE_NORMALIZATION } from '@lockstep/shared/models/alexnet.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import { elementsOf } from '@lockstep/shared/models/shapes.js'
import {
  frozenPart,
  isStatistic,
  parameterFloats,
  trainedPart,
  type ParameterEntry,
  type ParameterLayout,
} from '@lockstep/shared/parameters/layout.js'
import { modelSchema, optimizerSchema, type Recipe, type RecipeInput } from '@lockstep/shared/recipe/schema.js'
import type { Batch } from '@lockstep/worker/engine/batch.js'
import { Engine } from '@lockstep/worker/engine/engine.js'
import { loadTensorFlow } from '@lockstep/worker/engine/load-tensorflow.js'
import { localResponseNormalization } from '@lockstep/worker/engine/local-response-normalization.js'
import { oneThread } from '@lockstep/worker/engine/test-networks.js'
import { describe, expect, it } from 'vitest'
import { decodedSums, distance, seededLabels, seededPictures, seededTensor, sumsOf, uniform } from './support/seeded-numbers.js'

/**
 * Every network against PyTorch in float64, which computed tests/fixtures/networks/*.json (make_fixtures.py there, networks written
 * out from the papers): class scores, loss, every gradient, batch statistics, and three steps of SGD, each from our own weights of the
 * step before; of a frozen base under a new head, and of every option of the update, too. With PRINT_ERRORS=1 the largest errors are printed, from which the table of docs/numerics.md is; with STEPS_FOLDER=… what
 * was computed is written there, for follow_steps.py, which starts PyTorch from our own weights.
 */

oneThread()

/** Relative L2 error of a tensor that always passes. */
const TOLERANCE = 1e-4
/** Above it, this many times the error of PyTorch's own float32 passes. */
const FACTOR = 3
/** Weights are rounded to float32 once a step, and beside that only moved by what is checked itself. */
const WEIGHTS_TOLERANCE = 1e-6

/** What PyTorch says of a tensor: see make_fixtures.py. */
interface Recorded {
  /** What an error is relative to: the tensor's length. */
  readonly scale: number
  readonly float32Error: number
  readonly sums: string
}

interface Fixture {
  readonly model: object
  readonly classes: number
  readonly count: number
  readonly seed: number
  readonly pictureScale: number
  readonly scales: Readonly<Record<string, number>>
  readonly momentum: number
  readonly weightDecay: number
  readonly rates: readonly number[]
  /** What else a recipe says of the update. */
  readonly optimizer?: RecipeInput['optimizer']
  /** Of the whole gradient, a step each; where gradients are clipped. */
  readonly norms?: readonly number[]
  readonly labelSmoothing?: number
  readonly weightsDigest: string
  readonly evaluated: Recorded
  /** `loss`, `scores`, then by name gradients and, of batch statistics, new values. */
  readonly steps: readonly Readonly<Record<string, Recorded>>[]
}

async function readFixture<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(new URL(`../fixtures/networks/${name}.json`, import.meta.url), 'utf8')) as T
}

/** How far a tensor is off, as a share of what it may be. */
interface Finding {
  readonly kind: 'scores' | 'loss' | 'gradient' | 'statistics' | 'velocity' | 'weights'
  readonly tensor: string
  readonly error: number
  readonly limit: number
  readonly float32Error: number
}

function findingOf(kind: Finding['kind'], tensor: string, values: ArrayLike<number>, recorded: Recorded): Finding {
  const { scale, float32Error, sums } = recorded
  const error = distance(sumsOf(values), decodedSums(sums)) / scale
  return { kind, tensor, error, limit: Math.max(TOLERANCE, FACTOR * float32Error), float32Error }
}

function batchOf({ count, classes, seed, pictureScale }: Fixture, inputShape: readonly number[], step: number): Batch {
  const images = seededPictures(count * elementsOf(inputShape), seed, step, pictureScale)
  return { images, labels: seededLabels(count, classes, seed, step), count, firstPosition: 0 }
}

/** The engine's class scores, loss, gradients and batch statistics in a step, and the flat vector of the last two. */
function computedStep(engine: Engine, batch: Batch, layout: ParameterLayout, recorded: Fixture['steps'][number], lastLayer: number) {
  const of = (name: string): Recorded => recorded[name] ?? { scale: Number.NaN, float32Error: Number.NaN, sums: '' }
  const findings: Finding[] = []
  const told: string[] = []
  engine.visitLayers(batch, (index, values) => {
    if (index === lastLayer) findings.push(findingOf('scores', 'scores', values, of('scores')))
    return true
  })
  const gradient = new Float32Array(layout.size)
  const { lossSum } = engine.gradient(batch, ({ name, offset, kind }, values) => {
    told.push(name)
    gradient.set(values, offset)
    findings.push(findingOf(isStatistic(kind) ? 'statistics' : 'gradient', name, values, of(name)))
  })
  // and of nothing else: what is frozen has no gradient
  expect(told).toEqual(layout.entries.map(({ name }) => name))
  findings.push(findingOf('loss', 'loss', [lossSum / batch.count], of('loss')))
  return { gradient, findings }
}

interface State {
  /** Of what is trained. */
  readonly weights: Float32Array
  /** Of parameters alone. */
  readonly velocity: Float32Array
}

function optimizerOf({ momentum, weightDecay, optimizer }: Fixture): Recipe['optimizer'] {
  return optimizerSchema.parse({ momentum, weightDecay, ...optimizer })
}

/** The state after a step, by the averager's own kernels and ranges. */
function updatedState(state: State, gradient: Float32Array, layout: ParameterLayout, fixture: Fixture, rate: number): State {
  const arena = Arena.create(1 << 24)
  const put = (values: Float32Array): number => {
    const offset = arena.allocate(values.length)
    arena.view(offset, values.length).set(values)
    return offset
  }
  const [weights, velocity, sum] = [put(state.weights), put(state.velocity), put(gradient)]
  const [nextWeights, nextVelocity] = [arena.allocate(layout.size), arena.allocate(state.velocity.length)]
  const optimizer = optimizerOf(fixture)
  const { momentum, nesterov, clipNorm } = optimizer
  if (clipNorm !== undefined) {
    const parameters = parameterFloats(layout)
    arena.scale(sum, parameters, new GradientNorm(clipNorm, 1).add(0, [arena.squares(sum, parameters)]) ?? Number.NaN)
  }
  for (const { offset, size, decay } of updateRangesOf(layout, { index: 0, offset: 0, size: layout.size }, optimizer)) {
    const at = (start: number): number => start + offset * 4
    if (decay === 'none') arena.average({ sum: at(sum), nextStatistics: at(nextWeights), floats: size, count: 1 })
    else {
      const from = { weights: at(weights), velocity: at(velocity), gradient: at(sum) }
      arena.update({
        ...from,
        nextWeights: at(nextWeights),
        nextVelocity: at(nextVelocity),
        floats: size,
        momentum,
        rate,
        decay,
        nesterov,
      })
    }
  }
  return { weights: arena.view(nextWeights, layout.size).slice(), velocity: arena.view(nextVelocity, state.velocity.length).slice() }
}

/**
 * Velocity and weights after a step against v ← μ·v − ε·(c·g + λ·w), w ← w + v (Krizhevsky 2012, section 5) in float64, from our own w and v
 * of the step before and PyTorch's g; c is 1, or what clipping makes of PyTorch's norm. Sums are linear, so the step can be done on them.
 */
function updateFindings(before: State, after: State, entry: ParameterEntry, fixture: Fixture, step: number): Finding[] {
  const { name, offset, size, kind } = entry
  const recorded = fixture.steps[step]?.[name]
  const rate = fixture.rates[step] ?? Number.NaN
  if (recorded === undefined || isStatistic(kind)) return []
  const own = (values: Float32Array): Float64Array => sumsOf(values.subarray(offset, offset + size))
  const [weights, velocity, gradient] = [own(before.weights), own(before.velocity), decodedSums(recorded.sums)]
  const { momentum, nesterov, decayOn, weightDecay, clipNorm } = optimizerOf(fixture)
  const clipping = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (fixture.norms?.[step] ?? Number.NaN))
  const decay = kind === 'kernel' || decayOn === 'all' ? weightDecay : 0
  const downhill = weights.map((weight, index) => rate * (clipping * (gradient[index] ?? Number.NaN) + decay * weight))
  const moved = velocity.map((value, index) => momentum * value - (downhill[index] ?? Number.NaN))
  const expected = weights.map((value, index) => {
    const v = moved[index] ?? Number.NaN
    return value + (nesterov ? momentum * v - (downhill[index] ?? Number.NaN) : v)
  })
  const { float32Error, scale } = recorded
  const limit = Math.max(TOLERANCE, FACTOR * float32Error)
  const velocityError = distance(own(after.velocity), moved) / Math.max(distance(moved), rate * scale)
  const weightsError = distance(own(after.weights), expected) / distance(expected)
  return [
    { kind: 'velocity', tensor: name, error: velocityError, limit, float32Error },
    { kind: 'weights', tensor: name, error: weightsError, limit: WEIGHTS_TOLERANCE, float32Error },
  ]
}

/** The tensors of a part of a layout, one after the other. */
function valuesOf(part: ParameterLayout, whole: ParameterLayout, weights: Float32Array): Float32Array {
  const values = new Float32Array(part.size)
  for (const { name, offset, size } of part.entries) {
    const from = whole.entries.find((entry) => entry.name === name)?.offset ?? Number.NaN
    values.set(weights.subarray(from, from + size), offset)
  }
  return values
}

type OnStep = (before: State, gradient: Float32Array, after: State) => void

/** Three steps. The first findings are those of evaluation, by the moving mean and variance. */
async function findingsOf(fixture: Fixture, onStep: OnStep): Promise<Finding[]> {
  const network = networkOf(modelSchema.parse(fixture.model), fixture.classes)
  const whole = layoutOf(network)
  const layout = trainedPart(whole)
  expect(layout.entries.map(({ name }) => name)).toEqual(Object.keys(fixture.steps[0] ?? {}).slice(2))
  const all = new Float32Array(whole.size)
  whole.entries.forEach((entry, number) => all.set(seededTensor(entry, { ...fixture, number }), entry.offset))
  expect(createHash('sha256').update(all).digest('hex')).toBe(fixture.weightsDigest)
  const weights = valuesOf(layout, whole, all)
  const engine = await Engine.create({ network, layout, seed: 1, globalBatch: fixture.count, labelSmoothing: fixture.labelSmoothing ?? 0 })
  try {
    if (layout.size < whole.size) engine.setFrozen(valuesOf(frozenPart(whole), whole, all))
    engine.setWeights(weights)
    const evaluated = (): Float32Array => {
      const { images } = batchOf(fixture, network.inputShape, 0)
      return engine.logSoftmax({ images, shape: [fixture.count, ...network.inputShape], kind: 'crop' })
    }
    const scores = evaluated()
    const findings = [findingOf('scores', 'evaluation', scores, fixture.evaluated)]
    let state: State = { weights, velocity: new Float32Array(parameterFloats(layout)) }
    fixture.steps.forEach((recorded, step) => {
      const rate = fixture.rates[step] ?? Number.NaN
      engine.setWeights(state.weights)
      const batch = batchOf(fixture, network.inputShape, step)
      const { gradient, findings: own } = computedStep(engine, batch, layout, recorded, network.layers.length - 1)
      const after = updatedState(state, gradient, layout, fixture, rate)
      findings.push(...own)
      for (const entry of layout.entries) findings.push(...updateFindings(state, after, entry, fixture, step))
      onStep(state, gradient, after)
      state = after
    })
    // three steps have moved what is set and nothing else: not what is frozen
    engine.setWeights(weights)
    expect(evaluated()).toEqual(scores)
    return findings
  } finally {
    engine.dispose()
  }
}

function printLargest(name: string, findings: readonly Finding[]): void {
  const kinds = ['scores', 'loss', 'gradient', 'statistics', 'velocity', 'weights'] as const
  const cells = kinds.map((kind) => {
    const errors = findings.filter((finding) => finding.kind === kind).map(({ error }) => error)
    return errors.length === 0 ? '–' : Math.max(...errors).toExponential(1)
  })
  const float32 = Math.max(...findings.filter(({ kind }) => kind === 'gradient').map(({ float32Error }) => float32Error))
  console.log(`| ${[name, ...cells, float32.toExponential(1)].join(' | ')} |`)
}

/** Of every step weights, velocity, gradient, and weights and velocity after it, one after the other. */
function writeStep(path: string, before: State, gradient: Float32Array, after: State): void {
  for (const values of [before.weights, before.velocity, gradient, after.weights, after.velocity]) {
    appendFileSync(path, new Uint8Array(values.buffer))
  }
}

describe('three steps of', () => {
  it.each([
    ...['vgg-a', 'vgg-a-lrn', 'vgg-b', 'vgg-c', 'vgg-d', 'vgg-e', 'vgg-a-bn', 'se-vgg-a', 'alexnet', 'alexnet-one-group'],
    ...['resnet-18', 'resnet-50', 'se-resnet-18', 'se-resnet-50', 'small-cnn', 'transfer-head', 'transfer-head-resnet'],
    ...['nesterov', 'decay-on-all', 'clip-norm', 'label-smoothing', 'all-options'],
  ])('%s are those of PyTorch in float64', async (name) => {
    const folder = process.env.STEPS_FOLDER
    const findings = await findingsOf(await readFixture<Fixture>(name), (...step) => {
      if (folder !== undefined) writeStep(`${folder}/${name}.f32`, ...step)
    })
    if (process.env.PRINT_ERRORS !== undefined) printLargest(name, findings)
    expect(findings.filter(({ error, limit }) => !(error <= limit))).toEqual([])
  })
})

describe('local response normalization', () => {
  it('has the output and the gradient of PyTorch in float64', async () => {
    interface Normalized {
      readonly shape: [number, number, number, number]
      readonly mapsStream: number
      readonly mapsScale: number
      readonly gradientStream: number
      readonly output: readonly number[]
      readonly gradient: readonly number[]
    }
    const fixture = await readFixture<Normalized>('local-response-normalization')
    const tf = loadTensorFlow()
    await tf.ready()
    const layer = localResponseNormalization(tf, { type: 'localResponseNormalization', name: 'lrn', ...LOCAL_RESPONSE_NORMALIZATION })
    const tensorOf = (stream: number, scale: number) =>
      tf.tensor4d(
        Float32Array.from(uniform(stream, elementsOf(fixture.shape)), (value) => value * scale),
        fixture.shape,
      )
    const { value, grad } = tf.valueAndGrad((maps) => layer.apply(maps) as typeof maps)(
      tensorOf(fixture.mapsStream, fixture.mapsScale),
      tensorOf(fixture.gradientStream, 1),
    )
    for (const [actual, expected] of [
      [value, fixture.output],
      [grad, fixture.gradient],
    ] as const) {
      const wanted = Float64Array.from(expected)
      expect(distance(Float64Array.from(actual.dataSync()), wanted) / distance(wanted)).toBeLessThan(1e-6)
    }
  })
})
